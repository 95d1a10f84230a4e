import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, it } from '@jest/globals'
import { createMetrics } from '../../src/ops/index.js'
import { createRedisManager, type RedisCall } from '../../src/redis/index.js'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

it('counts events without allocating anything', async () => {
  const redis = createRedisManager({ env: {}, logger: false })
  const metrics = createMetrics({ redis })
  const call: RedisCall = { operation: 'read', outcome: 'ok', durationMs: 1.5 }
  const outcome = { outcome: 'hit', ageMs: 1, status: 200, bytes: 10 } as const
  const count = (times: number): void => {
    for (let i = 0; i < times; i++) {
      redis.emit('redis.call', call)
      redis.emit('response-cache', outcome)
    }
  }
  count(200_000)
  // Other work of this process allocates too: the quietest of a few tries is what counting itself takes.
  const tries = Array.from({ length: 5 }, () => {
    collect()
    const before = process.memoryUsage().heapUsed
    count(20_000)
    return (process.memoryUsage().heapUsed - before) / 40_000
  })
  expect(Math.min(...tries.map(Math.abs))).toBeLessThan(8)
  expect(metrics.snapshot().operations.read?.calls).toBe(300_000)
  await metrics.close()
  await redis.close()
})
