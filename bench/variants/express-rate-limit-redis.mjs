import express from 'express'
import { rateLimit } from 'express-rate-limit'
import { Redis } from 'ioredis'
import { RedisStore } from 'rate-limit-redis'
import { payload } from './payload.mjs'

export function create(url) {
  const client = new Redis(url)
  const store = new RedisStore({ sendCommand: (...args) => client.call(...args) })
  const app = express()
  app.use(rateLimit({ windowMs: 60_000, limit: 100_000_000, standardHeaders: 'draft-8', legacyHeaders: true, store }))
  return app.get('/', (_req, res) => void res.json(payload))
}
