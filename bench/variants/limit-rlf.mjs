import express from 'express'
import { Redis } from 'ioredis'
import { RateLimiterRedis } from 'rate-limiter-flexible'
import { flexible } from './flexible.mjs'
import { payload } from './payload.mjs'

/** The middleware of rate-limiter-flexible's documentation, with the usual headers. */
export function create(url) {
  const limiter = new RateLimiterRedis({ storeClient: new Redis(url), points: 100_000_000, duration: 60 })
  return express()
    .use(flexible(limiter))
    .get('/', (_req, res) => void res.json(payload))
}
