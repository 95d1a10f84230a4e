import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import compression from 'compression'
import express, { type RequestHandler, type Router } from 'express'
import request from 'supertest'
import type { RedisManager } from '../../src/redis/index.js'
import { responseCache } from '../../src/response-cache/index.js'
import { readsOf } from '../../src/response-cache/reads.js'
import type { RedisServer } from '../support/redis-server.js'
import { useRedis } from '../support/use-redis.js'
import { type AppOptions, appWith, warmUp } from './app.js'

let server: RedisServer
let redis: RedisManager
let warnings: { code: string; message: string }[] = []
let off: () => void = () => {}
useRedis(async (own) => {
  server = own.server
  redis = own.redis
  await warmUp(redis)
})
beforeEach(async () => {
  await server.client().flushall()
  warnings = []
  off = redis.on('warning', (warning) => warnings.push(warning))
})
afterEach(() => off())

const development = { NODE_ENV: 'development' }
let routes = 0

/** On a path of its own: a route is warned of once. */
async function told(handler: RequestHandler, headers: Record<string, string>, options: Partial<AppOptions> = {}) {
  const path = `/route-${++routes}`
  const { before = [], after = [], ...rest } = options
  const cache = responseCache({ redis, ttl: '60s', env: development, ...rest }) as RequestHandler
  const app = express()
  if (options.before !== undefined) app.set('trust proxy', true)
  app.get(path, ...before, cache, ...after, handler)
  for (let time = 0; time < 2; time++) {
    await request(app).get(path).set(headers).expect(200)
    await request(app).get(`${path}?again=${time}`).set(headers).expect(200)
  }
  return warnings.map(({ code, message }) => ({
    code: code.replace(path, ''),
    names: /reads (.*) of the/.exec(message)?.[1],
  }))
}

const WARNED = (names: string) => [{ code: 'HOLDFAST_UNKEYED_HEADER ', names }]

describe('in development, a handler that reads a request header which neither Vary nor the key names', () => {
  it('is told of, once, without the value', async () => {
    const plan: RequestHandler = (req, res) => void res.send(req.get('x-plan'))
    expect(await told(plan, { 'X-Plan': 'very-secret' })).toEqual(WARNED('x-plan'))
    expect(JSON.stringify(warnings)).not.toContain('very-secret')
  })

  it.each<[string, RequestHandler, Record<string, string>, Partial<AppOptions>?]>([
    ['names it in Vary', (req, res) => void res.vary('X-Plan').send(req.get('x-plan')), { 'X-Plan': 'a' }],
    [
      'has it in its key',
      (req, res) => void res.send(req.get('x-plan')),
      { 'X-Plan': 'a' },
      { key: (req) => String(req.get('x-plan')) },
    ],
    [
      'has it in a key that takes its time',
      (req, res) => void res.send(req.get('x-plan')),
      { 'X-Plan': 'a' },
      { key: async (req) => String(await Promise.resolve(req.get('x-plan'))) },
    ],
    ['was sent none', (req, res) => void res.send(String(req.get('x-plan'))), {}],
    [
      'reads what frames a message',
      (req, res) => void res.send(`${req.fresh}${req.is('json')}${req.host}`),
      { 'Content-Type': 'text/plain' },
    ],
    [
      'copies or prints them all',
      (req, res) => void res.json([{ ...req.headers }, JSON.stringify(req.headers)].length),
      { 'X-Plan': 'a' },
    ],
    [
      'stores nothing',
      (req, res) => void res.set('Cache-Control', 'private').send(req.get('x-plan')),
      { 'X-Plan': 'a' },
    ],
    [
      'reads it after the answer',
      (req, res) => void res.on('finish', () => req.get('user-agent')).send('x'),
      { 'User-Agent': 'a' },
    ],
    [
      'is behind compression',
      (_req, res) => void res.type('text').send('x'.repeat(3000)),
      {},
      { after: [compression() as RequestHandler] },
    ],
    [
      'is behind a proxy that is trusted',
      (req, res) => void res.send(req.hostname),
      { 'X-Forwarded-Host': 'a.example' },
      { before: [] },
    ],
    [
      'is public, and asked with a cookie',
      (req, res) => void res.set('Cache-Control', 'public').send(`${(req.get('cookie') ?? '').length}`),
      { Cookie: 'a=b' },
    ],
  ])('is not told of where it %s', async (_name, handler, headers, options = {}) => {
    expect(await told(handler, headers, options)).toEqual([])
  })

  it.each<[string, RequestHandler, Record<string, string>, Partial<AppOptions>?]>([
    [
      'x-forwarded-host',
      (req, res) => void res.send(req.get('x-forwarded-host')),
      { 'X-Forwarded-Host': 'evil.example' },
    ],
    ['cookie', (req, res) => void res.send(req.get('cookie')), { Cookie: 'sid=1' }, { cookies: 'ignore' }],
    [
      'accept-language',
      (req, res) => void res.send(req.acceptsLanguages('de', 'en') || ''),
      { 'Accept-Language': 'de' },
    ],
  ])('is told of %s', async (names, handler, headers, options = {}) => {
    expect(await told(handler, headers, options)).toEqual(WARNED(names))
  })

  it('is told of by its route, parameters and all, once for each', async () => {
    const cache = responseCache({ redis, ttl: '60s', env: development }) as RequestHandler
    const shop: Router = express.Router()
    shop.get('/items/:id', cache, (req, res) => void res.send(req.get('x-plan')))
    const app = express().use('/shop', shop)
    for (const id of [1, 2, 3]) await request(app).get(`/shop/items/${id}`).set('X-Plan', 'a')
    expect(warnings.map(({ code }) => code)).toEqual(['HOLDFAST_UNKEYED_HEADER /shop/items/:id'])
  })
})

describe('in production', () => {
  it('nothing is watched: the handler is given the very headers', async () => {
    const same: boolean[] = []
    const { app } = appWith((_req, res) => void res.send('x'), {
      redis,
      env: { NODE_ENV: 'production' },
      before: [(req, _res, next) => next(void Object.assign(req, { before: req.headers }))],
      after: [
        (req, _res, next) => next(void same.push(req.headers === (req as unknown as { before: unknown }).before)),
      ],
    })
    await request(app).get('/').set('X-Plan', 'a').expect(200)
    expect(same).toEqual([true])
    expect(warnings).toEqual([])
  })
})

describe('headers that are watched', () => {
  it('behave as headers do, and are the old ones at the end', () => {
    const headers = { host: 'a', 'x-plan': 'b' } as Record<string, string | undefined>
    const req = { headers }
    const reads = readsOf(req as never)
    const watched = req.headers
    expect({ ...watched }).toEqual(headers)
    expect(Object.keys(watched)).toEqual(['host', 'x-plan'])
    expect('x-plan' in watched).toBe(true)
    expect(reads.names.size).toBe(0)
    expect(watched['x-plan']).toBe('b')
    // Whoever lists them all reads each once: that is a copy or a print.
    expect(reads.names.size).toBe(0)
    expect([watched['x-plan'], watched['x-none'], watched.constructor]).toEqual(['b', undefined, Object])
    watched['x-new'] = 'c'
    delete watched.host
    expect(headers).toEqual({ 'x-plan': 'b', 'x-new': 'c' })
    expect([...reads.names]).toEqual(['x-plan'])
    reads.end()
    expect(req.headers).toBe(headers)
  })
})
