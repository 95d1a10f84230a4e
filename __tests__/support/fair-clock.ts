const TICK_MS = 5

let passed = 0
let last = performance.now()

const sinceLast = (): number => Math.min(performance.now() - last, 3 * TICK_MS)

setInterval(() => {
  passed += sinceLast()
  last = performance.now()
}, TICK_MS).unref()

/**
 * Milliseconds in which this process could run: it stands still while a busy machine, or a blocked event loop, lets
 * nothing run here. What hangs for longer than that is late by this clock as well.
 */
export function fairNow(): number {
  return passed + sinceLast()
}
