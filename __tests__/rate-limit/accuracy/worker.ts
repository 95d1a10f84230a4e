import { setImmediate as turn } from 'node:timers/promises'
import { createRateLimiter } from '../../../src/rate-limit/index.js'
import { createRedisManager } from '../../../src/redis/index.js'
import type { Load, Report } from './load.js'

/** One process of a hammer: keeps so many calls in flight on each key until time is up. */
process.once('message', async (load: Load) => {
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
  const end = Date.now() + load.durationMs
  for (const [index, { name, limit, windowMs, cost, algorithm }] of load.scenarios.entries()) {
    const limiter = createRateLimiter({ redis, name, limit, window: windowMs, algorithm, remembered: load.remembered })
    const report = reports[index] as Report
    const cheapest = new Map<number, number>()
    refusals.push(cheapest)
    let calls = 0
    const hammer = async (): Promise<void> => {
      while (Date.now() < end) {
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
    for (let i = 0; i < load.inFlight; i++) loops.push(hammer())
  }
  await Promise.all(loops)
  for (const [index, cheapest] of refusals.entries()) {
    for (const [at, points] of cheapest) reports[index]?.refused.push(at, points)
  }
  await redis.close()
  process.send?.(reports, () => process.disconnect())
})
process.send?.('ready')
