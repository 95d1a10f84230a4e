/** A timer that is later than this was held up by a blocked event loop. */
const ON_TIME_MS = 15

/**
 * To be called when the timer of a deadline fires; `late` follows only after the socket was read. Timers run before
 * that, so that after a blocked event loop the reply may be waiting there; and where the timer itself was held up, the
 * reply may still be under way, and is given `graceMs`. What is returned is that timer.
 */
export function overdue(
  startedAt: number,
  deadlineMs: number,
  graceMs: number,
  late: () => void,
): NodeJS.Timeout | undefined {
  if (performance.now() - startedAt >= deadlineMs + ON_TIME_MS) return setTimeout(late, graceMs)
  setImmediate(late)
  return undefined
}
