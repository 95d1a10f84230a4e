import { pause } from './waiting.js'

/** A waiter's place in the line for one key. */
export interface Place {
  readonly first: boolean
  /**
   * Waits for `ms` where it is the first, else for `left` ms; less where the one before leaves, the lock is let go by
   * this process, or a signal is aborted.
   */
  wait(ms: number, left: number, signals: readonly (AbortSignal | undefined)[]): Promise<void>
  leave(): void
}

interface Waiter {
  rung: boolean
  wake: () => void
}

/**
 * The waiters of this process by key, first come first served. Only the first of a line asks Redis; what this process
 * lets go, it hands on without waiting for the next poll.
 */
export class Lines {
  readonly #lines = new Map<string, Set<Waiter>>()

  join(key: string): Place {
    const line = this.#lines.get(key) ?? new Set<Waiter>()
    this.#lines.set(key, line)
    const waiter: Waiter = { rung: false, wake: () => {} }
    line.add(waiter)
    const isFirst = (): boolean => line.values().next().value === waiter
    return {
      get first() {
        return isFirst()
      },
      async wait(ms, left, signals) {
        // Rung while it was asking: the answer may be from before.
        if (!waiter.rung) {
          await pause(Math.min(isFirst() ? ms : left, left), signals, (wake) => {
            waiter.wake = wake
          })
        }
        waiter.rung = false
      },
      leave: () => {
        const wasFirst = isFirst()
        line.delete(waiter)
        if (line.size === 0 && this.#lines.get(key) === line) this.#lines.delete(key)
        else if (wasFirst) ring(line)
      },
    }
  }

  /** This process has let the lock go. */
  ring(key: string): void {
    const line = this.#lines.get(key)
    if (line !== undefined) ring(line)
  }
}

function ring(line: ReadonlySet<Waiter>): void {
  const first = line.values().next().value
  if (first === undefined) return
  first.rung = true
  first.wake()
}
