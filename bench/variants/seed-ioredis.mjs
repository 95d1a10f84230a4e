import express from 'express'
import { Redis } from 'ioredis'
import { payload } from './payload.mjs'

/** What a team writes by hand. */
export function seed(url, body, app = express()) {
  const redis = new Redis(url)
  return app.get('/', async (req, res) => {
    const hit = await redis.get(`cache:${req.originalUrl}`)
    if (hit !== null) return void res.set('X-Cache', 'HIT').json(JSON.parse(hit))
    await redis.set(`cache:${req.originalUrl}`, JSON.stringify(body), 'EX', 3600)
    res.set('X-Cache', 'MISS').json(body)
  })
}

export const create = (url) => seed(url, payload)
