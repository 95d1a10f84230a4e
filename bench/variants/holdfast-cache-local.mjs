import express from 'express'
import { createRedisManager, responseCache } from 'holdfast'
import { payload } from './payload.mjs'

export async function create(url) {
  const redis = createRedisManager({ url })
  await redis.ready()
  return express().get(
    '/',
    responseCache({ redis, ttl: '1h', tags: ['products'], local: true }),
    (_req, res) => void res.json(payload),
  )
}
