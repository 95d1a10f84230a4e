import { afterAll, beforeAll, expect, it } from '@jest/globals'
import { createMetrics, createMonitor, createUpkeep } from '../../src/ops/index.js'
import { createRedisManager, type RedisManager } from '../../src/redis/index.js'
import { type RedisCluster, startCluster } from '../support/cluster.js'

let cluster: RedisCluster
let fleet: RedisManager[]

beforeAll(async () => {
  cluster = await startCluster()
  // A loaded machine is no outage.
  const options = { cluster: { nodes: cluster.nodes }, logger: false, commandTimeout: 1000 } as const
  fleet = [1, 2, 3].map(() => createRedisManager(options))
  for (const redis of fleet) expect(await redis.ready('10s')).toBe(true)
}, 60_000)
afterAll(async () => {
  await Promise.all(fleet.map((redis) => redis.close()))
  await cluster.stop()
})

it('adds up the fleet’s operations in buckets that live on different masters', async () => {
  let now = 1_800_000_000_000
  const all = fleet.map((redis) => createMetrics({ redis, fleet: { bucket: '1m' }, now: () => now }))
  for (let bucket = 0; bucket < 10; bucket++) {
    for (const metrics of all) metrics.observe('checkout', 5)
    now += 60_000
  }
  for (const metrics of all) expect(await metrics.flush()).toBe(true)
  const { operations, buckets, processes } = (await all[0]?.fleet('20m')) ?? {}
  expect(operations?.checkout?.calls).toBe(30)
  expect(buckets?.filter(({ operations: own }) => own.checkout !== undefined)).toHaveLength(10)
  expect(processes).toBe(3)
  await Promise.all(all.map((metrics) => metrics.close()))
})

it('elects one monitor and one owner per task', async () => {
  const monitors = fleet.map((redis) => createMonitor({ redis, every: '1h', scope: 'fleet' }))
  await Promise.all(monitors.map((monitor) => monitor.check()))
  expect(monitors.filter((monitor) => monitor.latest() !== undefined)).toHaveLength(1)
  expect(monitors.find((monitor) => monitor.latest() !== undefined)?.latest()?.stats.servers).toHaveLength(3)
  let runs = 0
  const upkeeps = fleet.map((redis) =>
    createUpkeep({ redis, tasks: { clean: { every: '1h', run: () => void runs++ } } }),
  )
  await Promise.all(upkeeps.map((upkeep) => upkeep.run('clean')))
  expect(runs).toBe(1)
  await Promise.all([...monitors, ...upkeeps].map((each) => each.close()))
})
