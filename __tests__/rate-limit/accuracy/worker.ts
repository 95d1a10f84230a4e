import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import { createRateLimiter } from '../../../src/rate-limit/index.js'
import { createRedisManager } from '../../../src/redis/index.js'
import type { Report, Task } from './load.js'

/** One process of a hammer: keeps so many calls in flight on each key until time is up. */
process.once('message', async (load: Task) => {
  setWrong(load.skew)
  const redis = createRedisManager({
    url: load.url,
    logger: false,
    commandTimeout: '20s',
    connectTimeout: '20s',
    maxInFlight: 100_000,
  })
  await redis.ready(10_000)
  const reports: Report[] = load.scenarios.map(() => ({ admitted: [], refused: [], undecided: 0, decisions: 0 }))
  const refusals: Map<number, number>[] = []
  const loops: Promise<void>[] = []
  const begin = performance.now()
  const end = begin + load.durationMs
  for (const [index, { name, limit, windowMs, cost, algorithm, shape }] of load.scenarios.entries()) {
    const limiter = createRateLimiter({ redis, name, limit, window: windowMs, algorithm, remembered: load.remembered })
    const report = reports[index] as Report
    const cheapest = new Map<number, number>()
    refusals.push(cheapest)
    let calls = 0
    // Out of step with the window, so that the teeth meet it at every phase.
    const tooth = windowMs * 0.7
    const resting = (which: number): boolean =>
      shape === 'sawtooth' && ((performance.now() - begin) % tooth) / tooth < which / load.inFlight
    const hammer = async (which: number): Promise<void> => {
      while (performance.now() < end) {
        if (resting(which)) {
          await sleep(1)
          continue
        }
        const points = cost === 'mixed' ? 1 + (calls++ % 5) : cost
        const { allowed, source, at } = await limiter.consume('key', points)
        report.decisions++
        if (source === 'none') report.undecided++
        else if (allowed) report.admitted.push(at, points)
        else if (source === 'redis') cheapest.set(at, Math.min(points, cheapest.get(at) ?? points))
        // What is decided here resolves at once: let the sockets have their turn.
        if (source !== 'redis') await turn()
      }
    }
    for (let i = 0; i < load.inFlight; i++) loops.push(hammer(i))
  }
  await Promise.all(loops)
  for (const [index, cheapest] of refusals.entries()) {
    for (const [at, points] of cheapest) reports[index]?.refused.push(at, points)
  }
  await redis.close()
  process.send?.(reports, () => process.disconnect())
})

/** As a host whose clock nobody has set. */
function setWrong(ms: number): void {
  const right = Date.now
  class WrongDate extends Date {
    constructor(...given: [] | [number | string | Date]) {
      super(given.length === 0 ? right() + ms : (given[0] as number))
    }
    static override now(): number {
      return right() + ms
    }
  }
  Object.assign(globalThis, { Date: WrongDate })
  Object.defineProperty(performance, 'timeOrigin', { value: performance.timeOrigin + ms })
}

process.send?.('ready')
