import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import type { Express, RequestHandler } from 'express'
import request from 'supertest'
import { createRedisManager, type RedisManager } from '../../src/redis/index.js'
import { eventually } from '../support/eventually.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { appWith } from './app.js'

let server: RedisServer
let redis: RedisManager
let other: RedisManager

beforeAll(async () => {
  server = await startRedis()
  redis = createRedisManager({ url: server.url, logger: false, commandTimeout: '10s' })
  other = createRedisManager({ url: server.url, logger: false, commandTimeout: '10s' })
  await Promise.all([redis.ready('10s'), other.ready('10s')])
})
afterAll(async () => {
  await Promise.all([redis.close(), other.close()])
  await server.stop()
})
beforeEach(() => server.client().flushall())

const slow =
  (answer: RequestHandler, ms = 150): RequestHandler =>
  async (req, res, next) => {
    await sleep(ms)
    answer(req, res, next)
  }

/** As {@link slow}, and how many ran side by side. */
function counted(answer: RequestHandler): { handler: RequestHandler; most: () => number } {
  let [inside, most] = [0, 0]
  const handler: RequestHandler = async (req, res, next) => {
    most = Math.max(most, ++inside)
    await sleep(500)
    inside--
    answer(req, res, next)
  }
  return { handler, most: () => most }
}

const askAll = (app: Express, count: number) => Promise.all(Array.from({ length: count }, () => request(app).get('/')))

describe('requests for what another is being answered with', () => {
  it('wait for it: 50 at once run the handler once', async () => {
    const { app, runs } = appWith(
      slow((_req, res) => void res.json({ n: 1 })),
      { redis },
    )
    const answers = await askAll(app, 50)
    expect(runs()).toBe(1)
    const states = answers.map(({ headers }) => headers['x-cache'])
    expect(states.filter((state) => state === 'MISS')).toHaveLength(1)
    expect(states.filter((state) => state === 'HIT')).toHaveLength(49)
    for (const { body } of answers) expect(body).toEqual({ n: 1 })
    expect(answers.filter(({ headers }) => /; collapsed/.test(headers['cache-status'] ?? '')).length).toBeGreaterThan(0)
  })

  it('wait for it in other processes too', async () => {
    const handler = slow((_req, res) => void res.json({ n: 1 }))
    const [a, b] = [appWith(handler, { redis }), appWith(handler, { redis: other, before: [] })]
    // One name, as behind one load balancer.
    const ask = (app: Express) => request(app).get('/').set('Host', 'shop.example')
    await Promise.all(Array.from({ length: 30 }, (_, index) => ask((index % 2 ? a : b).app)))
    expect(a.runs() + b.runs()).toBe(1)
  })

  it('never receive its Set-Cookie: each runs the handler itself, and side by side', async () => {
    let visitor = 0
    const { handler, most } = counted((_req, res) => void res.cookie('sid', `v${++visitor}`).send('hello'))
    const { app, runs } = appWith(handler, { redis })
    const answers = await askAll(app, 20)
    expect(most()).toBeGreaterThan(10)
    expect(runs()).toBe(20)
    const cookies = answers.map(({ headers }) => String(headers['set-cookie']))
    expect(new Set(cookies).size).toBe(20)
  })

  it('do not wait again for an answer that was not stored', async () => {
    const { handler, most } = counted((_req, res) => void res.set('Cache-Control', 'private').send('x'))
    const { app } = appWith(handler, { redis })
    await request(app).get('/')
    await askAll(app, 20)
    expect(most()).toBeGreaterThan(10)
  })

  it('wait no longer than they were told to, then run the handler', async () => {
    let release: () => void = () => {}
    let entered = 0
    const { app, runs } = appWith(
      async (_req, res) => {
        if (++entered === 1) {
          await new Promise<void>((resolve) => {
            release = resolve
          })
        }
        res.send('x')
      },
      { redis, coalesce: '200ms' },
    )
    const leader = request(app)
      .get('/')
      .then((res) => res)
    await eventually(() => entered === 1)
    // The leader is not done before this one is.
    expect((await request(app).get('/')).text).toBe('x')
    release()
    await leader
    expect(runs()).toBe(2)
  })

  it('wait for one that has died no longer than it had the right to answer', async () => {
    let [asked, end] = [0, () => {}]
    const handler: RequestHandler = (_req, res) => {
      if (++asked > 1) res.json({ n: asked })
      else end = () => res.destroy()
    }
    const options = { coalesce: '3s', namespace: 'died' } as const
    const lost = appWith(handler, { redis: other, ...options })
    const { app } = appWith(handler, { redis, ...options })
    const first = request(lost.app)
      .get('/')
      .catch(() => {})
    await eventually(() => asked === 1)
    await sleep(2000)
    const started = performance.now()
    const { headers, body } = await request(app).get('/')
    expect([headers['x-cache'], body]).toEqual(['MISS', { n: 2 }])
    expect(performance.now() - started).toBeLessThan(2500)
    end()
    await first
  })

  it('are let go as soon as the other starts a stream of events', async () => {
    const { app, runs } = appWith(
      (_req, res) => {
        res.type('text/event-stream').write('data: 1\n\n')
        setTimeout(() => res.end(), 1000)
      },
      { redis },
    )
    const answers = await askAll(app, 5)
    expect(runs()).toBe(5)
    expect(answers.every(({ status }) => status === 200)).toBe(true)
  })

  it('with another value of a header the answer varies by get their own', async () => {
    const { app } = appWith(
      slow((req, res) => void res.vary('Accept-Language').send(req.get('accept-language'))),
      { redis },
    )
    const languages = ['de', 'en', 'de', 'en', 'fr']
    const answers = await Promise.all(languages.map((each) => request(app).get('/').set('Accept-Language', each)))
    expect(answers.map(({ text }) => text)).toEqual(languages)
  })

  it('that carry cookies or ask for a reload wait for nobody', async () => {
    const { app, runs } = appWith(
      slow((req, res) => void res.send(req.get('cookie') ?? 'nobody')),
      { redis },
    )
    const answers = await Promise.all([
      request(app).get('/'),
      request(app).get('/').set('Cookie', 'sid=ann'),
      request(app).get('/').set('Cookie', 'sid=bob'),
      request(app).get('/').set('Cache-Control', 'no-cache'),
    ])
    expect(answers.map(({ text }) => text)).toEqual(['nobody', 'sid=ann', 'sid=bob', 'nobody'])
    expect(runs()).toBe(4)
  })

  it('are not given what was invalidated while they waited', async () => {
    let value = 'old'
    const { app, cache, runs } = appWith(
      async (_req, res) => {
        const read = value
        await sleep(300)
        res.send(read)
      },
      { redis, tags: ['price'] },
    )
    const leader = request(app)
      .get('/')
      .then((res) => res.text)
    await eventually(() => runs() === 1, { within: 10_000 })
    value = 'new'
    expect(await cache.invalidateTags('price')).toBe(true)
    expect((await request(app).get('/')).text).toBe('new')
    expect(await leader).toBe('old')
  })

  it('all run the handler at once where coalescing is off', async () => {
    const { app, runs } = appWith(
      slow((_req, res) => void res.send('x')),
      { redis, coalesce: false },
    )
    await askAll(app, 5)
    expect(runs()).toBe(5)
  })
})
