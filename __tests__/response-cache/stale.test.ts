import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals'
import type { ErrorRequestHandler, RequestHandler } from 'express'
import request from 'supertest'
import { createRedisManager, type RedisManager } from '../../src/redis/index.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { type AppOptions, appWith, warmUp } from './app.js'

let server: RedisServer
let redis: RedisManager

beforeAll(async () => {
  server = await startRedis()
  redis = createRedisManager({ url: server.url, logger: false, commandTimeout: '10s' })
  await redis.ready('10s')
  await warmUp(redis)
})
afterAll(async () => {
  await redis.close()
  await server.stop()
})
beforeEach(() => server.client().flushall())

/** A clock that runs ahead: what is stored for seconds is stale at once. */
function later(seconds: number): void {
  const now = Date.now() + seconds * 1000
  jest.spyOn(Date, 'now').mockImplementation(() => now)
}
afterEach(() => void jest.restoreAllMocks())

const standard = (handler: RequestHandler, options: Partial<AppOptions> = {}) =>
  appWith(handler, { redis, ttl: undefined, ...options })

describe('a stale response', () => {
  const failing =
    (cacheControl: string, status: number): RequestHandler =>
    (_req, res) => {
      if (res.app.locals.down) res.status(status).send('down')
      else res.set('Cache-Control', cacheControl).send('up')
    }

  it.each([
    ['max-age=2, stale-if-error=60', 500, 'STALE'],
    ['max-age=2, stale-if-error=60', 503, 'STALE'],
    ['max-age=2, stale-if-error=60', 404, 'MISS'],
    ['max-age=2, stale-if-error=60, must-revalidate', 503, 'MISS'],
    ['max-age=2, stale-if-error=60, proxy-revalidate', 502, 'MISS'],
    ['s-maxage=2, stale-if-error=60', 502, 'MISS'],
    ['max-age=2', 500, 'MISS'],
    ['max-age=2', 502, 'STALE'],
    ['max-age=2', 504, 'STALE'],
    ['max-age=2, must-revalidate', 502, 'MISS'],
    ['max-age=2, proxy-revalidate', 504, 'MISS'],
    ['s-maxage=2', 502, 'MISS'],
    ['no-cache', 502, 'MISS'],
  ])('of %s where the handler answers %i is %s', async (cacheControl, status, state) => {
    const { app } = standard(failing(cacheControl, status))
    await request(app).get('/').expect(200)
    app.locals.down = true
    later(10)
    const second = await request(app).get('/')
    expect(second.headers['x-cache']).toBe(state)
    expect([second.status, second.text]).toEqual(state === 'STALE' ? [200, 'up'] : [status, 'down'])
    if (state === 'STALE') {
      expect(second.headers['cache-status']).toMatch(/^holdfast; hit; ttl=-\d+; detail=stale-if-error$/)
      expect(Number(second.headers.age)).toBeGreaterThanOrEqual(10)
    }
  })

  it('stands in for a handler that throws, where the route says so', async () => {
    const { app } = appWith(
      (_req, res) => {
        if (res.app.locals.down) throw new Error('no database')
        res.json({ ok: true })
      },
      { redis, ttl: '2s', staleIfError: '1m' },
    )
    app.use(((_error, _req, res, _next) => void res.status(500).json({ ok: false })) as ErrorRequestHandler)
    await request(app).get('/')
    app.locals.down = true
    later(10)
    const second = await request(app).get('/')
    expect([second.status, second.body, second.headers['x-cache']]).toEqual([200, { ok: true }, 'STALE'])
    later(70)
    expect((await request(app).get('/')).status).toBe(500)
  })

  it('is served while one request renews it, and the rest of them wait for nothing', async () => {
    let release: () => void = () => {}
    let entered: () => void = () => {}
    const renewing = new Promise<void>((resolve) => {
      entered = resolve
    })
    const { app, runs } = appWith(
      async (_req, res) => {
        if (res.app.locals.slow) {
          entered()
          await new Promise<void>((resolve) => {
            release = resolve
          })
        }
        res.send(res.app.locals.slow ? 'new' : 'old')
      },
      { redis, ttl: '2s', staleWhileRevalidate: '1m' },
    )
    await request(app).get('/')
    app.locals.slow = true
    later(10)
    const renewal = request(app)
      .get('/')
      .then((res) => res)
    await renewing
    const others = await Promise.all(Array.from({ length: 20 }, () => request(app).get('/')))
    for (const other of others) expect([other.text, other.headers['x-cache']]).toEqual(['old', 'STALE'])
    release()
    expect((await renewal).text).toBe('new')
    expect(runs()).toBe(2)
    expect((await request(app).get('/')).text).toBe('new')
  })

  it('is given to a request that accepts it', async () => {
    const { app } = standard((_req, res) => void res.set('Cache-Control', 'max-age=2').send('x'))
    await request(app).get('/')
    later(10)
    const ask = async (value: string) => (await request(app).get('/').set('Cache-Control', value)).headers['x-cache']
    expect(await ask('max-stale=20, only-if-cached')).toBe('STALE')
    expect(await ask('max-stale')).toBe('STALE')
    expect(await ask('max-stale=5')).toBe('REVALIDATED')
  })
})

describe('validation', () => {
  it('asks the handler with the stored validator, and answers whole from a 304, with its new head', async () => {
    const seen: unknown[] = []
    const { app } = standard((req, res) => {
      seen.push(req.headers['if-none-match'])
      res.set({ ETag: '"v1"', 'Cache-Control': 'max-age=2', 'X-Run': String(seen.length) }).send('body')
    })
    await request(app).get('/')
    later(10)
    const second = await request(app).get('/')
    expect([second.status, second.text, second.headers['x-cache'], second.headers['x-run']]).toEqual([
      ...[200, 'body', 'REVALIDATED', '2'],
    ])
    expect(second.headers['cache-status']).toBe('holdfast; fwd=stale; fwd-status=304; stored')
    expect(second.headers['content-length']).toBe('4')
    const third = await request(app).get('/').set('If-None-Match', '"v1"')
    expect([third.status, third.headers['x-cache'], third.headers['x-run']]).toEqual([304, 'HIT', '2'])
    expect(seen).toEqual([undefined, '"v1"'])
  })

  it('answers 304 to a client that has it, and gives the request its own headers back', async () => {
    const after: unknown[] = []
    const { app } = standard((req, res) => {
      res.on('finish', () => after.push(req.headers['if-none-match']))
      res.set({ ETag: '"v1"', 'Cache-Control': 'no-cache' }).send('body')
    })
    await request(app).get('/')
    const second = await request(app).get('/').set('If-None-Match', '"v0", "v1"')
    expect([second.status, second.headers['x-cache'], second.text]).toEqual([304, 'REVALIDATED', ''])
    expect(after).toEqual([undefined, '"v0", "v1"'])
  })

  it('passes a cookie of the confirming answer to its own client only', async () => {
    const { app } = standard((req, res) => {
      if (req.get('if-none-match')) res.cookie('sid', 'ann')
      res.set({ ETag: '"v1"', 'Cache-Control': 'max-age=2' }).send('body')
    })
    await request(app).get('/')
    later(10)
    expect((await request(app).get('/')).headers['set-cookie']).toHaveLength(1)
    const third = await request(app).get('/')
    expect([third.headers['x-cache'], third.headers['set-cookie']]).toEqual(['HIT', undefined])
  })

  it('replaces what has changed', async () => {
    let version = 1
    const { app } = standard(
      (_req, res) => void res.set({ ETag: `"v${version}"`, 'Cache-Control': 'max-age=2' }).send(`v${version}`),
    )
    await request(app).get('/')
    version = 2
    later(10)
    expect((await request(app).get('/')).text).toBe('v2')
    const third = await request(app).get('/')
    expect([third.text, third.headers['x-cache'], third.headers.etag]).toEqual(['v2', 'HIT', '"v2"'])
  })
})
