import express from 'express'
import { createRedisManager, responseCache } from 'holdfast'
import { large } from './payload.mjs'

export async function create(url, { before = [], ...options } = {}) {
  const redis = createRedisManager({ url, commandTimeout: '2s' })
  await redis.ready()
  const cache = responseCache({ redis, ttl: '1h', tags: ['products'], local: true, ...options })
  return express().get('/', ...before, cache, (_req, res) => void res.json(large))
}
