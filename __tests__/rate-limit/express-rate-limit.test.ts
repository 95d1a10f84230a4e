import { describe, expect, it } from '@jest/globals'
import express, { type RequestHandler } from 'express'
import request from 'supertest'
import { type ExpressRateLimitOptions, fromExpressRateLimit } from '../../src/rate-limit/index.js'
import { createRedisManager } from '../../src/redis/index.js'
import { eventually } from '../support/eventually.js'
import { aNewName, useRedis } from './support.js'

const world = useRedis()
const ok: RequestHandler = (req, res) => void res.json(req.rateLimit && { used: req.rateLimit.used })

function app(options: Partial<ExpressRateLimitOptions> = {}, handler = ok) {
  return express()
    .use(fromExpressRateLimit({ redis: world.redis, name: aNewName(), ...options }))
    .use(handler)
}

describe('fromExpressRateLimit', () => {
  it('has its defaults: 5 in a minute, X-RateLimit, the plain message', async () => {
    const it = app()
    for (let used = 1; used <= 5; used++) {
      const { headers, body } = await request(it).get('/').expect(200)
      expect(headers['x-ratelimit-limit']).toBe('5')
      expect(headers['x-ratelimit-remaining']).toBe(String(5 - used))
      expect(headers['ratelimit-policy']).toBeUndefined()
      expect(body).toEqual({ used })
    }
    const { text, headers } = await request(it).get('/').expect(429)
    expect(text).toBe('Too many requests, please try again later.')
    expect(headers['retry-after']).toBe('60')
  })

  it('takes windowMs, max, message and statusCode', async () => {
    const it = app({ windowMs: 1000, max: 1, message: { error: 'slow down' }, statusCode: 420 })
    await request(it).get('/').expect(200)
    await request(it).get('/').expect(420, { error: 'slow down' })
    await eventually(async () => (await request(it).get('/')).status === 200, { within: 3000 })
  })

  it.each([
    [true, 'ratelimit-remaining', '4'],
    ['draft-6', 'ratelimit-policy', '5;w=60'],
    ['draft-7', 'ratelimit', expect.stringMatching(/^limit=5, remaining=4, reset=6[01]$/)],
    ['draft-8', 'ratelimit', expect.stringMatching(/^"[\w-]+";r=4;t=6[01]$/)],
  ] as const)('takes standardHeaders %p', async (standardHeaders, name, expected) => {
    const { headers } = await request(app({ standardHeaders, legacyHeaders: false })).get('/')
    expect(headers[name]).toEqual(expected)
    expect(headers['x-ratelimit-limit']).toBeUndefined()
  })

  it('takes functions of request and response', async () => {
    const it = app({
      limit: async (req, res) => (res.headersSent ? 0 : Number(req.get('x-limit') ?? 1)),
      keyGenerator: (req) => req.get('x-key') ?? 'none',
      skip: (req) => req.path === '/free',
      message: (req: express.Request) => `not ${req.get('x-key')}`,
    })
    await request(it).get('/').set('x-key', 'a').expect(200)
    await request(it).get('/').set('x-key', 'b').expect(200)
    expect((await request(it).get('/').set('x-key', 'a').expect(429)).text).toBe('not a')
    await request(it).get('/').set('x-key', 'a').set('x-limit', '2').expect(200)
    await request(it).get('/free').set('x-key', 'a').expect(200)
  })

  it('takes skipSuccessfulRequests, skipFailedRequests and requestWasSuccessful', async () => {
    const status: RequestHandler = (req, res) => void res.sendStatus(Number(req.path.slice(1)))
    const failures = app({ limit: 2, skipSuccessfulRequests: true }, status)
    for (let i = 0; i < 4; i++) await request(failures).get('/200').expect(200)
    for (const expected of [404, 404, 429]) await request(failures).get('/404').expect(expected)
    const successes = app(
      { limit: 2, skipFailedRequests: true, requestWasSuccessful: (_req, res) => res.statusCode !== 201 },
      status,
    )
    for (let i = 0; i < 4; i++) await request(successes).get('/201').expect(201)
    for (const expected of [404, 404, 429]) await request(successes).get('/404').expect(expected)
  })

  it('takes a handler with its options', async () => {
    const it = app({
      limit: 1,
      handler: (_req, res, _next, options) => res.status(options.statusCode ?? 418).send('mine'),
    })
    await request(it).get('/').expect(200)
    await request(it).get('/').expect(418, 'mine')
  })

  it('counts by address whoever is logged in, IPv6 by /56', async () => {
    const it = express().set('trust proxy', 1)
    it.use((req, _res, next) => next(void Object.assign(req, { user: { id: req.get('x-user') } })))
    it.use(fromExpressRateLimit({ redis: world.redis, name: aNewName(), limit: 1 }), ok)
    const get = (address: string) => request(it).get('/').set('X-Forwarded-For', address).set('x-user', 'ada')
    await get('2001:db8:0:1::1').expect(200)
    await get('2001:db8:0:ff::1').expect(429)
    await get('2001:db8:0:100::1').expect(200)
  })

  it('has resetKey and getKey', async () => {
    const limiter = fromExpressRateLimit({ redis: world.redis, name: aNewName(), limit: 1, keyGenerator: () => 'k' })
    const it = express().use(limiter, ok)
    await request(it).get('/').expect(200)
    expect(await limiter.getKey('k')).toMatchObject({ totalHits: 1 })
    await limiter.resetKey('k')
    await request(it).get('/').expect(200)
    const byAddress = fromExpressRateLimit({ redis: world.redis, name: aNewName() })
    await request(express().use(byAddress, ok)).get('/')
    expect(await byAddress.getKey('127.0.0.1')).toMatchObject({ totalHits: 1 })
  })

  it('passes while Redis is away, or answers 503 with passOnStoreError false', async () => {
    const redis = createRedisManager({ url: 'redis://127.0.0.1:1', logger: false })
    await request(app({ redis })).get('/').expect(200)
    await request(app({ redis, passOnStoreError: false }))
      .get('/')
      .expect(503)
    await redis.close()
  })

  it.each([
    [{ store: {} as unknown as undefined }, 'store'],
    [{ identifier: 'x' } as object, 'identifier'],
    [{ requestPropertyName: 'limit' as 'rateLimit' }, 'requestPropertyName'],
    [{ skipSuccessfulRequests: true, skipFailedRequests: true }, 'skipFailedRequests'],
    [{ windowMs: 0 }, 'window'],
    [{ limit: 0 }, 'limit'],
  ])('refuses %p, naming %s', (options, option) => {
    expect(() => app(options)).toThrow(expect.objectContaining({ code: 'ERR_HOLDFAST_CONFIG', option }))
  })
})
