import type { IncomingMessage } from 'node:http'
import { describe, expect, it } from '@jest/globals'
import express, { type Request, type RequestHandler } from 'express'
import request from 'supertest'
import type { RedisManager } from '../../src/redis/index.js'
import { type ResponseCacheOptions, responseCache } from '../../src/response-cache/index.js'
import { seamOf } from '../../src/response-cache/seam.js'
import { useRedis } from '../support/use-redis.js'

let redis: RedisManager
useRedis((own) => {
  redis = own.redis
})

let namespaces = 0

/** An app whose cache has begun its read two middlewares before its turn; between them stands `between`. */
function appWith(options: Partial<ResponseCacheOptions>, between: RequestHandler = (_req, _res, next) => next()) {
  const cache = responseCache({ redis, ttl: '1h', namespace: `prefetch-${++namespaces}`, ...options })
  const seam = seamOf(cache) as unknown as { prefetch(req: Request): void }
  let runs = 0
  const app = express()
    .use((req, _res, next) => {
      seam.prefetch(req)
      seam.prefetch(req)
      next()
    })
    .use(between, cache)
    .use((req, res) => {
      runs++
      res.json({ path: req.path, runs })
    })
  return { app, cache, runs: () => runs }
}

describe('a read that was begun before its middleware runs', () => {
  it.each([
    ['tags by name', { tags: ['a', 'b'] }],
    ['tags by a function', { tags: (req: IncomingMessage) => [`of ${req.url}`] }],
    ['tags by a promise', { tags: async () => ['later'] }],
    ['copies in the process', { local: true }],
    ['a key of the caller’s own', { key: (req: Request) => req.get('x-tenant') ?? 'none' }],
  ])('answers as one that is made in its turn, with %s', async (_name, options) => {
    const { app, runs } = appWith(options)
    await request(app).get('/a').expect('X-Cache', 'MISS')
    for (let i = 0; i < 3; i++)
      await request(app).get('/a').expect('X-Cache', 'HIT').expect(200, { path: '/a', runs: 1 })
    expect(runs()).toBe(1)
  })

  it('is not used for another resource than the one it is of', async () => {
    const { app } = appWith({}, (req, _res, next) => {
      req.originalUrl = `${req.originalUrl}?elsewhere`
      next()
    })
    await request(app).get('/b').expect('X-Cache', 'MISS')
    await request(app).get('/b').expect('X-Cache', 'HIT')
  })

  it('does not bring back what was invalidated before the request came', async () => {
    const { app, cache } = appWith({ tags: ['t'] })
    await request(app).get('/c').expect('X-Cache', 'MISS')
    await request(app).get('/c').expect('X-Cache', 'HIT')
    expect(await cache.invalidateTags('t')).toBe(true)
    await request(app).get('/c').expect('X-Cache', 'MISS').expect(200, { path: '/c', runs: 2 })
  })

  it('tells no error of a function of the caller’s own twice', async () => {
    let asked = 0
    const { app } = appWith({
      tags: async () => {
        asked++
        throw new Error('no tags')
      },
    })
    app.set('env', 'test')
    await request(app).get('/d').expect(500)
    expect(asked).toBeGreaterThan(1)
  })
})
