import express from 'express'
import { Redis } from 'ioredis'
import { RateLimiterRedis } from 'rate-limiter-flexible'
import { flexible } from './flexible.mjs'
import { payload } from './payload.mjs'

export const status = 429

/** With its block in memory: no round trip either. */
export function create(url) {
  const limiter = new RateLimiterRedis({
    storeClient: new Redis(url),
    points: 1,
    duration: 3600,
    inMemoryBlockOnConsumed: 2,
    inMemoryBlockDuration: 3600,
  })
  return express()
    .use(flexible(limiter))
    .get('/', (_req, res) => void res.json(payload))
}
