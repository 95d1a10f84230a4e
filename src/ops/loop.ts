/** Work that repeats until it is stopped. */
export interface Loop {
  /** Runs now, or once more after the run under way. */
  kick(): void
  /** No run begins after this; resolves when the one under way has ended, or after `within` ms. Idempotent. */
  stop(within?: number): Promise<void>
}

export interface LoopOptions {
  /** From the end of a run to the start of the next, in ms. */
  readonly every: number
  /** Before the first run, in ms. @default every */
  readonly first?: number | undefined
  /** Share by which each wait is shortened or lengthened at random, so that processes do not act in step. @default 0.1 */
  readonly jitter?: number | undefined
  /** Must not reject. A number is the wait before the next run, in ms, instead of `every`. */
  readonly run: () => Promise<number | undefined> | Promise<void>
}

/** Runs never overlap, and its timer keeps no process alive. */
export function createLoop({ every, first = every, jitter = 0.1, run }: LoopOptions): Loop {
  let timer: NodeJS.Timeout | undefined
  let running: Promise<void> | undefined
  let again = false
  let stopped = false

  const later = (ms: number): void => {
    timer = setTimeout(start, ms * (1 - jitter + 2 * jitter * Math.random()))
    timer.unref()
  }
  const start = (): void => {
    const runs = async (): Promise<void> => {
      const wait = (await run()) ?? every
      running = undefined
      if (stopped) return
      const soon = again
      again = false
      later(soon ? 0 : wait)
    }
    running = runs()
  }
  later(first)

  return {
    kick() {
      if (stopped) return
      if (running !== undefined) {
        again = true
        return
      }
      clearTimeout(timer)
      start()
    },
    async stop(within = 500) {
      stopped = true
      clearTimeout(timer)
      if (running === undefined) return
      let bound: NodeJS.Timeout | undefined
      const late = new Promise<void>((resolve) => {
        bound = setTimeout(resolve, within)
      })
      await Promise.race([running, late])
      clearTimeout(bound)
    },
  }
}
