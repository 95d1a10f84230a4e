import express from 'express'
import { createRedisManager, rateLimit } from 'holdfast'
import { payload } from './payload.mjs'

export async function create(url) {
  const redis = createRedisManager({ url, commandTimeout: '2s' })
  await redis.ready()
  const app = express()
  app.use(rateLimit({ redis, limit: 100_000_000, window: '1m' }))
  return app.get('/', (_req, res) => void res.json(payload))
}
