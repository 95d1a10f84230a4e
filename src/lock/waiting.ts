const FIRST_MS = 10
const LONGEST_MS = 200

/**
 * How long to wait before the next attempt: doubling, half of it at random so that waiters do not march in step, but
 * not beyond the moment the present holder expires.
 */
export function retryDelay(attempt: number, freeInMs: number, random: () => number = Math.random): number {
  const limit = Math.min(FIRST_MS * 2 ** Math.min(attempt, 10), LONGEST_MS)
  return Math.min(limit / 2 + random() * (limit / 2), Math.max(freeInMs, 1))
}

/** Resolves after `ms`, as soon as one of the signals is aborted, or when what `onStart` was given is called. */
export function pause(
  ms: number,
  signals: readonly (AbortSignal | undefined)[],
  onStart: (wake: () => void) => void,
): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer)
      for (const signal of signals) signal?.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    onStart(done)
    for (const signal of signals) signal?.addEventListener('abort', done)
    if (signals.some((signal) => signal?.aborted)) done()
  })
}
