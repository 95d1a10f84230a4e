import express from 'express'
import { createRedisManager, responseCache } from 'holdfast'
import { large } from './payload.mjs'

export async function create(url) {
  const redis = createRedisManager({ url, commandTimeout: '2s' })
  await redis.ready()
  const cache = responseCache({ redis, ttl: '1h', tags: ['products'] })
  return express().get('/', cache, (_req, res) => void res.json(large))
}
