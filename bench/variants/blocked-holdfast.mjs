import express from 'express'
import { createRedisManager, rateLimit } from 'holdfast'
import { payload } from './payload.mjs'

export const status = 429

export async function create(url) {
  const redis = createRedisManager({ url, commandTimeout: '2s' })
  await redis.ready()
  return express()
    .use(rateLimit({ redis, limit: 1, window: '1h' }))
    .get('/', (_req, res) => void res.json(payload))
}
