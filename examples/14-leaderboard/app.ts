import express, { type Express } from 'express'
import { createLeaderboard, isRedisUnavailable, LeaderboardValueError, type RedisManager } from 'holdfast'

/** The scores of this week, who is around me, and last week's winners. */
export function createApp(redis: RedisManager): Express {
  const board = createLeaderboard('game', { redis, period: 'weekly', timeZone: 'Europe/Berlin', maxSize: 100_000 })
  const app = express()

  app.post('/players/:name/points', express.json(), async (req, res) => {
    res.json(await board.increment(req.params.name, req.body.points))
  })

  app.get('/players/:name', async (req, res) => {
    const place = await board.rankOf(req.params.name, { neighbours: 2 })
    if (place === undefined) res.status(404).json({ error: 'no points this week' })
    else res.json(place)
  })

  app.get('/top', async (_req, res) => {
    res.json(await board.top(10))
  })

  app.get('/winners', async (_req, res) => {
    res.json(await board.top(3, 0, { at: Date.now() - 7 * 86_400_000 }))
  })

  app.use(((error, _req, res, next) => {
    if (error instanceof LeaderboardValueError) res.status(400).json({ error: error.message })
    else if (isRedisUnavailable(error)) res.status(503).json({ error: 'no scores at the moment' })
    else next(error)
  }) as express.ErrorRequestHandler)
  return app
}
