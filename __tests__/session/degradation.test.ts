import { describe, expect, it } from '@jest/globals'
import type express from 'express'
import request from 'supertest'
import { createRedisManager } from '../../src/redis/index.js'
import { redisSession } from '../../src/session/index.js'
import { describeDegradation } from '../contract/degradation.js'
import { eventually } from '../support/eventually.js'
import { startRedis } from '../support/redis-server.js'
import { cookieOf, createApp, login, SECRET } from './app.js'

describeDegradation('redisSession', {
  mount: (redis) => {
    const app = createApp({ redis })
    app.get('/login', (req, res) => {
      req.session.user = 'ann'
      res.end()
    })
    return app
  },
  prepare: async (get) => {
    const { headers } = await get('/login')
    return { cookie: headers.getSetCookie()[0]?.split(';')[0] as string }
  },
  whenUp: async (get) => {
    const { headers, body } = await get('/')
    expect(JSON.parse(body).state).toBe('ready')
    expect(headers.getSetCookie()).toEqual([])
  },
  whenAway: ({ body, headers }) => {
    expect(JSON.parse(body)).toEqual({ user: null, state: 'unavailable' })
    expect(headers.getSetCookie()).toEqual([])
  },
})

const PATIENT = { within: 10_000 }

async function withOutage(
  options: Partial<Parameters<typeof createApp>[0]>,
  run: (world: {
    app: express.Express
    cookie: string
    pause: () => Promise<void>
    resume: () => Promise<void>
    server: Awaited<ReturnType<typeof startRedis>>
  }) => Promise<void>,
): Promise<void> {
  const server = await startRedis()
  const redis = createRedisManager({ url: server.url, logger: false })
  try {
    await redis.ready()
    const app = createApp({ redis, ...options })
    const cookie = await login(app)
    await run({
      app,
      cookie,
      server,
      async pause() {
        server.pause()
        await eventually(async () => {
          await request(app).get('/').set('Cookie', cookie)
          return !redis.available
        }, PATIENT)
      },
      async resume() {
        server.resume()
        await eventually(() => redis.available, PATIENT)
      },
    })
  } finally {
    await redis.close()
    await server.stop()
  }
}

describe('an outage', () => {
  it('logs nobody out: the session is there again with the cookie of before', () =>
    withOutage({}, async ({ app, cookie, pause, resume }) => {
      await pause()
      const during = await request(app).post('/set/k1/lost').set('Cookie', cookie).expect(200, { kept: false })
      expect(during.headers['set-cookie']).toBeUndefined()
      await resume()
      await request(app).get('/').set('Cookie', cookie).expect({ user: 'ann', state: 'ready' })
    }))

  it("destroys nothing, even where unset is 'destroy'", () =>
    withOutage({ unset: 'destroy' }, async ({ app, cookie, server, resume }) => {
      server.pause()
      for (let i = 0; i < 6; i++) await request(app).get('/').set('Cookie', cookie).expect(200)
      await resume()
      await request(app).get('/').set('Cookie', cookie).expect({ user: 'ann', state: 'ready' })
    }))

  it('that begins while a request runs sets no cookie for a session that was not stored', () =>
    withOutage({}, async ({ app, server, resume }) => {
      app.post('/slow-login', (req, res) => {
        server.pause()
        req.session.user = 'bob'
        res.json({ ok: true })
      })
      const response = await request(app).post('/slow-login').expect(200, { ok: true })
      expect(response.headers['set-cookie']).toBeUndefined()
      await resume()
    }))

  it("gives a session for the length of the request with 'ephemeral'", () =>
    withOutage({ onUnavailable: 'ephemeral' }, async ({ app, cookie, pause, resume }) => {
      await pause()
      const response = await request(app).post('/set/k1/v').set('Cookie', cookie).expect({ kept: true })
      expect(response.headers['set-cookie']).toBeUndefined()
      await request(app).post('/login/bob').set('Cookie', cookie).expect(200, { user: 'bob' })
      await request(app).post('/logout').set('Cookie', cookie).expect(200)
      await resume()
      await request(app).get('/').set('Cookie', cookie).expect({ user: 'ann', state: 'ready' })
    }))

  it("answers 503, never 401, with 'reject', and may decide by request", () =>
    withOutage(
      { onUnavailable: (req) => (req.path === '/' ? 'reject' : 'passthrough') },
      async ({ app, cookie, pause, resume }) => {
        await pause()
        const response = await request(app).get('/').set('Cookie', cookie).expect(503)
        expect(response.headers['retry-after']).toBe('1')
        expect(response.headers['content-type']).toMatch('application/problem+json')
        expect(response.headers['set-cookie']).toBeUndefined()
        await request(app).get('/all').set('Cookie', cookie).expect(200)
        await resume()
      },
    ))

  it('in which onUnavailable throws is an error of that request', () =>
    withOutage(
      {
        onUnavailable: () => {
          throw new Error('the choice failed')
        },
      },
      async ({ app, cookie, server, resume }) => {
        server.pause()
        await request(app).get('/').set('Cookie', cookie).timeout(10_000).expect(500)
        await resume()
      },
    ))

  it('is told to listeners of the store, also to those that come late', () =>
    withOutage({}, async ({ server, resume }) => {
      const redis = createRedisManager({ url: server.url, logger: false })
      await redis.ready()
      const { store } = redisSession({ redis, secret: SECRET })
      const told: string[] = []
      store.on('disconnect', () => void told.push('disconnect'))
      store.on('connect', () => void told.push('connect'))
      server.pause()
      await eventually(async () => {
        await redis.attempt(
          'probe',
          (client) => client.ping(),
          () => '',
        )
        return !redis.available
      })
      store.on('disconnect', () => void told.push('late'))
      await eventually(() => told.includes('late'), { within: 10_000 })
      await resume()
      await eventually(() => told.length === 3, { within: 10_000 })
      expect(told).toEqual(['disconnect', 'late', 'connect'])
      await redis.close()
    }))

  it('makes no operation of the store throw or hang', () =>
    withOutage({}, async ({ server, resume }) => {
      const redis = createRedisManager({ url: server.url, logger: false })
      await redis.ready()
      const store = redisSession({ redis, secret: SECRET }).store as unknown as Record<
        string,
        (...args: unknown[]) => void
      >
      server.pause()
      const operations = [
        ['get', 'id'],
        ['set', 'id', { cookie: {} }],
        ['touch', 'id', { cookie: {} }],
        ['destroy', 'id'],
        ['all'],
        ['length'],
        ['clear'],
        ['ids'],
      ] as const
      for (const [name, ...args] of operations) {
        const errors = await new Promise<unknown[]>((resolve) => {
          const seen: unknown[] = []
          store[name]?.(...args, (error: unknown) => {
            seen.push(error)
            setTimeout(() => resolve(seen), 20)
          })
        })
        // The end of a session is kept until Redis can be told; for the rest nobody can tell.
        if (name === 'destroy') expect(errors).toEqual([null])
        else expect(errors).toEqual([expect.objectContaining({ code: expect.stringMatching(/UNAVAILABLE/) })])
      }
      await resume()
      await redis.close()
    }))

  it('of memory (OOM) refuses new sessions their cookie and still reads the others', async () => {
    const server = await startRedis()
    const redis = createRedisManager({ url: server.url, logger: false })
    try {
      await redis.ready()
      const app = createApp({ redis, touchAfter: 0 })
      const cookie = await login(app)
      await server.client().config('SET', 'maxmemory', '1')
      const failed = await request(app).post('/set/k1/v')
      expect(failed.headers['set-cookie']).toBeUndefined()
      await request(app).get('/').set('Cookie', cookie).expect({ user: 'ann', state: 'ready' })
      await server.client().config('SET', 'maxmemory', '0')
      expect(cookieOf(await request(app).post('/set/k1/v'))).toBeDefined()
    } finally {
      await redis.close()
      await server.stop()
    }
  })
})
