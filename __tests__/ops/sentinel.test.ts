import { afterAll, beforeAll, expect, it } from '@jest/globals'
import { createMonitor, createUpkeep, type Monitor } from '../../src/ops/index.js'
import { createRedisManager, type RedisManager } from '../../src/redis/index.js'
import { eventually } from '../support/eventually.js'
import { type Sentinels, startSentinels } from '../support/sentinel.js'

const WITHIN = { within: 25_000, every: 50 }

let group: Sentinels
let fleet: RedisManager[]

beforeAll(async () => {
  group = await startSentinels()
  const options = {
    sentinel: { name: group.name, nodes: group.sentinels },
    logger: false,
    commandTimeout: 1000,
  } as const
  fleet = [1, 2, 3].map(() => createRedisManager(options))
  for (const redis of fleet) expect(await redis.ready('20s')).toBe(true)
}, 90_000)
afterAll(async () => {
  await Promise.all(fleet.map((redis) => redis.close()))
  await group.stop()
})

it('tells once of a failover and once that it is over, and the task has one owner before and after', async () => {
  const told: string[] = []
  const turns: number[] = []
  let [running, most] = [0, 0]
  const monitors = fleet.map((redis) =>
    createMonitor({
      redis,
      every: 200,
      scope: 'fleet',
      thresholds: { latency: false, hitRatio: false, slowCalls: false, replicationLag: false },
      onAlert: ({ condition }) => void told.push(`+${condition}`),
      onRecovery: ({ condition }) => void told.push(`-${condition}`),
    }),
  )
  const upkeeps = fleet.map((redis, index) => {
    const run = async (): Promise<void> => {
      most = Math.max(most, ++running)
      await new Promise((resolve) => setTimeout(resolve, 20))
      running--
      turns.push(index)
    }
    return createUpkeep({ redis, tasks: { clean: { every: '1s', budget: '1s', run } } })
  })
  const watching = (): Monitor[] => monitors.filter((_, index) => isWatching(fleet[index] as RedisManager))
  await eventually(() => watching().length === 1 && turns.length >= 2, WITHIN)

  await group.master.kill()
  await eventually(() => expect(told).toEqual(['+connection']), WITHIN)
  const before = turns.length
  await eventually(() => fleet.every(({ available }) => available), WITHIN)
  await eventually(() => expect(told).toEqual(['+connection', '-connection']), WITHIN)
  await eventually(() => turns.length >= before + 3 && watching().length === 1, WITHIN)
  expect(told).toEqual(['+connection', '-connection'])
  expect(most).toBe(1)
  expect(new Set(turns.slice(-2)).size).toBe(1)
  await Promise.all([...monitors, ...upkeeps].map((each) => each.close()))
}, 120_000)

function isWatching(redis: RedisManager): boolean {
  return redis.sources().some(({ feature, status }) => feature === 'monitor' && status().values.watching === true)
}
