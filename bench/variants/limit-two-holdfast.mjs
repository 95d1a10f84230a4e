import express from 'express'
import { createRedisManager, rateLimit } from 'holdfast'
import { payload } from './payload.mjs'

/** Two policies in one round trip. */
export async function create(url) {
  const redis = createRedisManager({ url, commandTimeout: '2s' })
  await redis.ready()
  const policies = [
    { name: 'burst', limit: 100_000_000, window: '1s' },
    { name: 'sustained', limit: 100_000_000, window: '1m' },
  ]
  return express()
    .use(rateLimit({ redis, name: 'two', policies }))
    .get('/', (_req, res) => void res.json(payload))
}
