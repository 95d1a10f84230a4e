import { afterAll, beforeAll, expect, it } from '@jest/globals'
import { createRateLimiter } from '../../src/rate-limit/index.js'
import { createRedisManager, type RedisManager } from '../../src/redis/index.js'
import { type RedisCluster, startCluster } from '../support/cluster.js'
import { eventually } from './support.js'

let cluster: RedisCluster
let managers: RedisManager[]

beforeAll(async () => {
  cluster = await startCluster()
  managers = [1, 2].map(() =>
    createRedisManager({ cluster: { nodes: cluster.nodes }, logger: false, commandTimeout: '2s' }),
  )
  for (const redis of managers) expect(await redis.ready(10_000)).toBe(true)
}, 60_000)
afterAll(async () => {
  await Promise.all(managers.map((redis) => redis.close()))
  await cluster.stop()
})

const policies = [
  { name: 'burst', limit: 5, window: '10s' },
  { name: 'sustained', limit: 8, window: '1m' },
] as const

it('decides several policies of callers on all masters, exactly, from two processes', async () => {
  const limiters = managers.map((redis) => createRateLimiter({ redis, name: 'cluster', policies }))
  await Promise.all(
    Array.from({ length: 30 }, async (_, caller) => {
      const decisions = await Promise.all(
        Array.from({ length: 12 }, (_, i) => limiters[i % 2]?.consume(`caller-${caller}`)),
      )
      expect(decisions.filter((decision) => decision?.allowed)).toHaveLength(5)
      expect(new Set(decisions.map((decision) => decision?.degraded))).toEqual(new Set([false]))
    }),
  )
})

it('tells every process of a reset, whichever node it listens to', async () => {
  const [here, there] = managers.map((redis) => createRateLimiter({ redis, name: 'resets', limit: 1, window: '1m' }))
  for (let i = 0; i < 6; i++) {
    const caller = `caller-${i}`
    await there?.consume(caller)
    await there?.consume(caller)
    await eventually(async () => {
      await here?.reset(caller)
      return (await there?.consume(caller))?.allowed === true
    })
  }
})
