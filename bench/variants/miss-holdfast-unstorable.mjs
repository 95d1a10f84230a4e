import express from 'express'
import { createRedisManager, responseCache } from 'holdfast'
import { payload } from './payload.mjs'

/** A route whose answers say that they must not be stored: what a cache costs where it can do nothing. */
export async function create(url) {
  const redis = createRedisManager({ url, commandTimeout: '2s' })
  await redis.ready()
  const cache = responseCache({ redis, ttl: '10s', tags: ['products'] })
  return express().get('/', cache, (_req, res) => void res.set('Cache-Control', 'no-store').json(payload))
}
