import { describe, expect, it } from '@jest/globals'
import express, { type Response } from 'express'
import request from 'supertest'
import { type ConcurrencyOptions, concurrency, type LimitExceeded, rateLimit } from '../../src/rate-limit/index.js'
import { createRedisManager } from '../../src/redis/index.js'
import { describeDegradation } from '../contract/degradation.js'
import { aNewName, eventually, listen, useRedis } from './support.js'

const world = useRedis()

/** An app whose requests end when told. */
function open(options: Partial<ConcurrencyOptions> = {}) {
  const waiting: Response[] = []
  const app = express()
  app.use(concurrency({ redis: world.redis, name: aNewName(), limit: 2, ...options }))
  app.get('/', (_req, res) => void waiting.push(res))
  const server = listen(app)
  const get = () => request(server).get('/')
  return {
    waiting,
    get,
    /** Starts a request that is answered later. */
    start: () => {
      const answer = get().then(({ status }) => status)
      answer.catch(() => {})
      return answer
    },
    close: () => new Promise((resolve) => server.close(resolve)),
  }
}

describe('concurrency', () => {
  it('serves so many requests at a time, and the next one when one has ended', async () => {
    const { waiting, get, start, close } = open()
    const first = [start(), start()]
    await eventually(() => waiting.length === 2)
    const { status, headers, text } = await get()
    expect(status).toBe(429)
    expect(headers['retry-after']).toBe('1')
    expect(headers['ratelimit-policy']).toMatch(/^"[\w-]+";q=2;qu="concurrent-requests"$/)
    expect(headers.ratelimit).toMatch(/;r=0$/)
    expect(JSON.parse(text).type).toMatch(/#quota-exceeded$/)
    waiting.shift()?.send('ok')
    await eventually(async () => {
      const next = start()
      return Promise.race([next.then(() => false), eventually(() => waiting.length === 2).then(() => true)])
    })
    for (const res of waiting) res.send('ok')
    expect(await Promise.all(first)).toEqual([200, 200])
    await close()
  })

  it('never exceeds the limit, with 60 parallel requests through two processes', async () => {
    const name = aNewName()
    let inProgress = 0
    let most = 0
    const other = await world.connect()
    const servers = [world.redis, other].map((redis) =>
      listen(
        express()
          .use(concurrency({ redis, name, limit: 5 }))
          .get('/', async (_req, res) => {
            most = Math.max(most, ++inProgress)
            await new Promise((resolve) => setTimeout(resolve, 20))
            inProgress--
            res.send('ok')
          }),
      ),
    )
    const answers = await Promise.all(
      Array.from({ length: 60 }, (_, i) => request(servers[i % 2] as (typeof servers)[0]).get('/')),
    )
    expect(most).toBe(5)
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200, 429]))
    await eventually(async () => (await world.client().zcard(`holdfast:concurrency:${name}:address:127.0.0.1`)) === 0)
    for (const server of servers) server.close()
  })

  it('gives a slot back when the client goes away', async () => {
    const { waiting, get, close } = open({ limit: 1 })
    const gone = get()
    gone.end(() => {})
    await eventually(() => waiting.length === 1)
    gone.abort()
    await eventually(async () => {
      const next = get().then(({ status }) => status)
      await Promise.race([next, eventually(() => waiting.length === 2)])
      if (waiting.length < 2) return false
      waiting[1]?.send('ok')
      return (await next) === 200
    })
    await close()
  })

  it('keeps the slot of a request that lasts longer than a lease', async () => {
    const { waiting, get, start, close } = open({ limit: 1, lease: '1s' })
    const long = start()
    await eventually(() => waiting.length === 1)
    await new Promise((resolve) => setTimeout(resolve, 2300))
    expect((await get()).status).toBe(429)
    waiting[0]?.send('ok')
    expect(await long).toBe(200)
    await close()
  })

  it('frees the slots of a process that died', async () => {
    const name = aNewName()
    const key = `holdfast:concurrency:${name}:address:127.0.0.1`
    await world.client().zadd(key, Date.now() - 1, 'lost', Date.now() + 300, 'dying')
    const { waiting, start, get, close } = open({ name, limit: 1 })
    expect((await get()).status).toBe(429)
    await new Promise((resolve) => setTimeout(resolve, 350))
    const answer = start()
    await eventually(() => waiting.length === 1)
    waiting[0]?.send('ok')
    expect(await answer).toBe(200)
    await close()
  })

  it('reports refusals, and shares the list fields with other limiters', async () => {
    const redis = await world.connect()
    const events: LimitExceeded[] = []
    redis.on('limit.exceeded', (event) => events.push(event))
    const name = aNewName()
    await world.client().zadd(`holdfast:concurrency:${name}:address:127.0.0.1`, Date.now() + 60_000, 'other')
    const app = express()
      .use(rateLimit({ redis, name: `r-${name}`, limit: 9 }))
      .use(concurrency({ redis, name, limit: 1 }))
    const { headers } = await request(app).get('/').expect(429)
    expect(headers['ratelimit-policy']).toBe(`"r-${name}";q=9;w=60, "${name}";q=1;qu="concurrent-requests"`)
    expect(events).toMatchObject([{ limiter: name, policy: name, path: '/', blocked: false }])
  })

  it.each([{ limit: 0 }, { lease: 10 }, { name: 'a b' }, { onUnavailable: 'x' as 'allow' }, { max: 1 } as object])(
    'refuses %p',
    (options) => {
      expect(() => concurrency({ redis: world.redis, ...options })).toThrow(
        expect.objectContaining({ code: 'ERR_HOLDFAST_CONFIG' }),
      )
    },
  )

  it.each([
    ['allow', [200, 200]],
    ['deny', [503, 503]],
    ['memory', [200, 429]],
  ] as const)('while Redis is away: %s', async (onUnavailable, expected) => {
    const redis = createRedisManager({ url: 'redis://127.0.0.1:1', logger: false })
    const { waiting, start, close } = open({ redis, onUnavailable, limit: 1 })
    const first = start()
    if (onUnavailable !== 'deny') await eventually(() => waiting.length === 1)
    const second = start()
    if (onUnavailable === 'allow') await eventually(() => waiting.length === 2)
    else await second
    for (const res of waiting) res.send('ok')
    expect([await first, await second]).toEqual(expected)
    await close()
    await redis.close()
  })
})

describeDegradation('concurrency', {
  mount: (redis) =>
    express()
      .use(concurrency({ redis, limit: 1000, name: 'contract' }))
      .get('/', (_req, res) => void res.send('ok')),
  whenUp: (get) =>
    eventually(async () => expect((await get('/')).headers.get('ratelimit')).toMatch(/^"contract";r=\d+$/)),
  whenAway: ({ headers }) => expect(headers.get('ratelimit')).toBeNull(),
})
