import { afterAll, beforeAll, expect, it } from '@jest/globals'
import express, { type ErrorRequestHandler } from 'express'
import { createLeaderboard } from '../../src/leaderboard/index.js'
import { isRedisUnavailable } from '../../src/redis/index.js'
import { describeDegradation } from '../contract/degradation.js'
import { closeAll, ready } from '../redis/support.js'
import { type RedisCluster, startCluster } from '../support/cluster.js'
import { eventually } from '../support/eventually.js'

describeDegradation('leaderboard', {
  mount: (redis) => {
    const board = createLeaderboard('chess', { redis })
    const app = express()
    app.get('/', async (_req, res) => {
      await board.increment('ann')
      res.json({ top: await board.top(3) })
    })
    const withoutRanks: ErrorRequestHandler = (error, _req, res, next) => {
      if (isRedisUnavailable(error)) res.json({ top: null })
      else next(error)
    }
    return app.use(withoutRanks)
  },
  whenUp: (get) =>
    // On a busy machine one command may miss its deadline.
    eventually(async () => {
      const { status, body } = await get('/')
      expect(status).toBe(200)
      expect(JSON.parse(body).top?.[0]).toMatchObject({ member: 'ann', rank: 1 })
    }),
  whenAway: ({ body }) => {
    expect(JSON.parse(body)).toEqual({ top: null })
  },
})

let cluster: RedisCluster
beforeAll(async () => {
  cluster = await startCluster()
}, 60_000)
afterAll(async () => {
  await closeAll()
  await cluster.stop()
})

it('works on a Cluster: both keys of each board share a slot', async () => {
  const { redis } = await ready({ cluster: { nodes: cluster.nodes }, commandTimeout: '1s' })
  for (const name of ['a', 'b', 'c', '{d}', 'e f', 'x'.repeat(300)]) {
    const board = createLeaderboard(name, { redis, period: 'daily', maxSize: 2 })
    await board.add('ann', 1)
    await board.add('bob', 2)
    await board.best('cid', 3)
    expect((await board.top()).map(({ member }) => member)).toEqual(['cid', 'bob'])
    expect(await board.rankOf('bob', { neighbours: 1 })).toMatchObject({ rank: 2, total: 2 })
    expect(await board.remove('bob')).toBe(true)
    await board.clear()
    expect(await board.size()).toBe(0)
  }
})
