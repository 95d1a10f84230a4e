import express from 'express'
import { rateLimit } from 'express-rate-limit'
import { Redis } from 'ioredis'
import { RedisStore } from 'rate-limit-redis'
import { payload } from './payload.mjs'

/** Two limits as express-rate-limit has them: two middlewares, two round trips. */
export function create(url) {
  const client = new Redis(url)
  const stacked = (prefix, windowMs) =>
    rateLimit({
      windowMs,
      limit: 100_000_000,
      standardHeaders: 'draft-8',
      legacyHeaders: true,
      store: new RedisStore({ sendCommand: (...args) => client.call(...args), prefix }),
    })
  return express()
    .use(stacked('burst:', 1000), stacked('sustained:', 60_000))
    .get('/', (_req, res) => void res.json(payload))
}
