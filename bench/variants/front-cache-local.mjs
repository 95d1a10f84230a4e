import express from 'express'
import { createRedisManager, responseCache } from 'holdfast'
import { createServer } from 'holdfast/server'
import { payload } from './payload.mjs'

export async function create(url, { local = true } = {}) {
  const redis = createRedisManager({ url })
  await redis.ready()
  const cache = responseCache({ redis, ttl: '1h', tags: ['products'], local })
  const app = express().get('/', cache, (_req, res) => void res.json(payload))
  return createServer(app, { front: [cache] })
}
