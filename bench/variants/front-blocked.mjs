import express from 'express'
import { createRedisManager, rateLimit } from 'holdfast'
import { createServer } from 'holdfast/server'
import { payload } from './payload.mjs'

export const status = 429

export async function create(url) {
  const redis = createRedisManager({ url, commandTimeout: '2s' })
  await redis.ready()
  const limit = rateLimit({ redis, limit: 1, window: '1h', user: false })
  const app = express()
    .use(limit)
    .get('/', (_req, res) => void res.json(payload))
  return createServer(app, { front: [limit] })
}
