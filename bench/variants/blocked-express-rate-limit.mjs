import express from 'express'
import { rateLimit } from 'express-rate-limit'
import { Redis } from 'ioredis'
import { RedisStore } from 'rate-limit-redis'
import { payload } from './payload.mjs'

export const status = 429

export function create(url) {
  const client = new Redis(url)
  const store = new RedisStore({ sendCommand: (...args) => client.call(...args) })
  return express()
    .use(rateLimit({ windowMs: 3_600_000, limit: 1, standardHeaders: 'draft-8', legacyHeaders: true, store }))
    .get('/', (_req, res) => void res.json(payload))
}
