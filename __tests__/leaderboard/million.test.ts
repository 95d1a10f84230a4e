import { afterAll, beforeAll, expect, it } from '@jest/globals'
import { createLeaderboard } from '../../src/leaderboard/index.js'
import type { RedisManager } from '../../src/redis/index.js'
import { closeAll, ready } from '../redis/support.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'

const MEMBERS = process.env.HOLDFAST_TEST_FULL === '1' ? 1_000_000 : 10_000
const WAVE = 2000

let server: RedisServer
let redis: RedisManager

beforeAll(async () => {
  server = await startRedis()
  ;({ redis } = await ready({ url: server.url, commandTimeout: '10s', connectTimeout: '10s' }))
})
afterAll(async () => {
  await closeAll()
  await server.stop()
})

it(`ranks one of ${MEMBERS} members in one call of at most some milliseconds`, async () => {
  const board = createLeaderboard('all', { redis })
  for (let from = 0; from < MEMBERS; from += WAVE) {
    await Promise.all(Array.from({ length: WAVE }, (_, index) => board.add(from + index, (from + index) % 1000)))
  }
  await server.client().config('RESETSTAT')
  const times: number[] = []
  for (let i = 0; i < 200; i++) {
    const member = (i * 7919) % MEMBERS
    const started = performance.now()
    const place = await board.rankOf(member, { neighbours: 5 })
    times.push(performance.now() - started)
    const score = member % 1000
    const each = MEMBERS / 1000
    expect(place).toMatchObject({ score, total: MEMBERS, rank: (999 - score) * each + 1 })
    expect(place?.ordinal).toBe((999 - score) * each + Math.floor(member / 1000) + 1)
  }
  const stats = await server.client().info('commandstats')
  expect(stats).toMatch(/cmdstat_evalsha:calls=200,/)
  times.sort((a, b) => a - b)
  expect(times[100]).toBeLessThan(1000)
  if (MEMBERS > 10_000) {
    const memory = /used_memory:(\d+)/.exec(await server.client().info('memory'))
    console.info(`leaderboard: ${MEMBERS} members, median ${times[100]?.toFixed(2)} ms, ${memory?.[1]} bytes`)
  }
}, 300_000)
