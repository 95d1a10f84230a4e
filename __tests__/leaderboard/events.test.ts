import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals'
import { createLeaderboard, type LeaderboardOutcome } from '../../src/leaderboard/index.js'
import { closeAll, ready } from '../redis/support.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'

let server: RedisServer
beforeAll(async () => {
  server = await startRedis()
})
afterEach(closeAll)
afterAll(() => server.stop())

it('tells what became of each call, with its duration', async () => {
  const { redis } = await ready({ url: server.url, commandTimeout: '2s' })
  const board = createLeaderboard('chess', { redis, maxSize: 1 })
  const seen: LeaderboardOutcome[] = []
  await board.add('unheard', 5)
  const off = redis.on('leaderboard', (outcome) => void seen.push(outcome))
  await board.add('ann', 10)
  await board.increment('bob', 1)
  await board.best('ann', 12)
  await board.top(3)
  await board.rankOf('ann', { neighbours: 1 })
  await board.rankOf('nobody')
  await board.remove('nobody')
  await board.remove('ann')
  await board.size()
  await board.clear()
  await expect(board.add('', 1)).rejects.toThrow('member')
  off()
  await board.size()
  expect(seen.map(({ operation, outcome }) => `${operation} ${outcome}`)).toEqual([
    'add done',
    'increment absent',
    'best done',
    'top done',
    'rank done',
    'rank absent',
    'remove absent',
    'remove done',
    'size done',
    'clear done',
  ])
  for (const { board, durationMs } of seen) {
    expect(board).toBe('chess')
    expect(durationMs).toBeGreaterThan(0)
  }
})

it('tells of calls that Redis refused or did not answer', async () => {
  const { redis } = await ready({ url: server.url, commandTimeout: '2s' })
  const board = createLeaderboard('foreign', { redis })
  const seen: string[] = []
  redis.on('leaderboard', ({ operation, outcome }) => void seen.push(`${operation} ${outcome}`))
  await server.client().set('holdfast:leaderboard:{foreign}:highest-first:all', 'mine')
  await expect(board.top()).rejects.toMatchObject({ code: 'ERR_HOLDFAST_REDIS_COMMAND' })
  await redis.close()
  await expect(board.size()).rejects.toMatchObject({ code: 'ERR_HOLDFAST_REDIS_UNAVAILABLE' })
  expect(seen).toEqual(['top failed', 'size failed'])
})
