import { describe, expect, it } from '@jest/globals'
import express, { type Express } from 'express'
import express4 from 'express4'
import request from 'supertest'
import type { LimitExceeded, RateLimitOptions } from '../../src/rate-limit/index.js'
import { rateLimit } from '../../src/rate-limit/index.js'
import { aNewName, listen, useRedis } from './support.js'

const world = useRedis()

type Options = Omit<RateLimitOptions, 'redis'>

function limiter(options: Options = {}) {
  return rateLimit({ redis: world.redis, name: aNewName(), ...options })
}

function app(options: Options = {}, create: () => Express = express): Express {
  const it = create()
  it.set('trust proxy', 1)
  it.use((req, _res, next) => {
    const id = req.get('x-test-user')
    if (id !== undefined) Object.assign(req, { user: { id } })
    next()
  })
  it.use(limiter(options))
  it.get('/', (req, res) => void res.json({ remaining: req.rateLimit?.remaining }))
  return it
}

const from = (address: string) => ({ 'X-Forwarded-For': address })

describe.each([
  ['Express 5', express],
  ['Express 4', express4 as unknown as () => Express],
])('on %s', (_name, create) => {
  it('serves up to the limit and answers 429 above it', async () => {
    const it = app({ limit: 2, window: '1m' }, create)
    await request(it).get('/').expect(200, { remaining: 1 })
    await request(it).get('/').expect(200, { remaining: 0 })
    const refused = await request(it).get('/').expect(429)
    expect(refused.headers['content-type']).toBe('application/problem+json')
    expect(refused.headers['retry-after']).toMatch(/^(59|60|61)$/)
    expect(JSON.parse(refused.text)).toMatchObject({ status: 429, title: 'Too many requests' })
    const again = await request(it).get('/').expect(429)
    expect(again.text).toBe(refused.text)
    expect(again.headers['ratelimit-policy']).toBe(refused.headers['ratelimit-policy'])
  })

  it('passes what a function of the request throws to the error handler, and counts nobody', async () => {
    const it = app({ key: () => Promise.reject(new Error('no key today')) }, create)
    await request(it).get('/').expect(500)
  })
})

it('allows exactly 10 of 100 parallel requests', async () => {
  const it = app({ limit: 10 })
  const server = listen(it)
  const statuses = await Promise.all(Array.from({ length: 100 }, async () => (await request(server).get('/')).status))
  server.close()
  expect(statuses.filter((status) => status === 200)).toHaveLength(10)
  expect(statuses.filter((status) => status === 429)).toHaveLength(90)
})

describe('the caller', () => {
  it('is the address where nobody is logged in', async () => {
    const it = app({ limit: 1 })
    await request(it).get('/').set(from('192.0.2.1')).expect(200)
    await request(it).get('/').set(from('192.0.2.2')).expect(200)
    await request(it).get('/').set(from('192.0.2.1')).expect(429)
  })

  it('is the IPv6 network, and the IPv4 address inside IPv6', async () => {
    const it = app({ limit: 1 })
    await request(it).get('/').set(from('2001:db8:1:2::1')).expect(200)
    await request(it).get('/').set(from('2001:db8:1:2:ffff::9')).expect(429)
    await request(it).get('/').set(from('2001:db8:1:3::1')).expect(200)
    await request(it).get('/').set(from('::ffff:192.0.2.7')).expect(200)
    await request(it).get('/').set(from('192.0.2.7')).expect(429)
    await request(it).get('/').set(from('::ffff:192.0.2.8')).expect(200)
  })

  it('is the authenticated user, wherever the requests come from', async () => {
    const it = app({ limit: 1 })
    await request(it).get('/').set(from('192.0.2.1')).set('x-test-user', 'ada').expect(200)
    await request(it).get('/').set(from('192.0.2.2')).set('x-test-user', 'ada').expect(429)
    await request(it).get('/').set(from('192.0.2.2')).set('x-test-user', 'bob').expect(200)
  })

  it('is the address, whoever is logged in, with user: false', async () => {
    const it = app({ limit: 1, user: false })
    await request(it).get('/').set(from('192.0.2.1')).set('x-test-user', 'ada').expect(200)
    await request(it).get('/').set(from('192.0.2.2')).set('x-test-user', 'ada').expect(200)
    await request(it).get('/').set(from('192.0.2.2')).set('x-test-user', 'bob').expect(429)
  })

  it('named like an address shares nothing with that address', async () => {
    const it = app({ limit: 1 })
    await request(it).get('/').set(from('192.0.2.1')).expect(200)
    await request(it).get('/').set('x-test-user', '192.0.2.1').expect(200)
    const keyed = app({ limit: 1, key: () => '192.0.2.1' })
    await request(keyed).get('/').set(from('192.0.2.1')).expect(200)
  })

  it('cannot be chosen by headers', async () => {
    const it = express().use(limiter({ limit: 1 }))
    await request(it).get('/').set(from('192.0.2.1')).expect(404)
    await request(it).get('/').set(from('192.0.2.2')).set('Forwarded', 'for=192.0.2.3').expect(429)
  })

  it.each([
    ['undefined', undefined],
    ['null', null],
    ['an empty text', ''],
  ])('falls back to user and address where the key function returns %s', async (_name, value) => {
    const it = app({ limit: 1, key: () => value as undefined })
    await request(it).get('/').set(from('192.0.2.1')).expect(200)
    await request(it).get('/').set(from('192.0.2.2')).expect(200)
    await request(it).get('/').set(from('192.0.2.1')).expect(429)
  })

  it.each([
    ['an object', {}],
    ['a list', ['a']],
    ['NaN', Number.NaN],
    ['true', true],
  ])('is refused as a key where the function returns %s: an error and no common bucket', async (_name, value) => {
    const it = app({ limit: 1, key: () => value as string })
    it.use(
      ((error, _req, res, _next) => void res.status(500).json({ code: error.code })) as express.ErrorRequestHandler,
    )
    for (let i = 0; i < 3; i++) await request(it).get('/').expect(500, { code: 'ERR_HOLDFAST_RATE_LIMIT_KEY' })
  })

  it('may have an id of a megabyte: its key stays short', async () => {
    const name = aNewName()
    const it = app({ limit: 1, name, key: (req) => String(req.query.k).repeat(1_000_000) })
    await request(it).get('/?k=a').expect(200)
    await request(it).get('/?k=a').expect(429)
    await request(it).get('/?k=b').expect(200)
    const keys = await world.client().keys(`*${name}:*`)
    expect(keys).toHaveLength(2)
    for (const key of keys) expect(key.length).toBeLessThan(80)
  })

  it('is nameless in Redis with a key secret', async () => {
    const name = aNewName()
    const it = app({ limit: 1, name, keySecret: 'correct horse battery staple' })
    await request(it).get('/').set(from('192.0.2.99')).expect(200)
    const keys = await world.client().keys(`*${name}:*`)
    expect(keys).toHaveLength(1)
    expect(keys[0]).not.toContain('192')
  })

  it('with glob characters, line breaks or separators in its id reaches no other key', async () => {
    const it = app({ limit: 1, key: (req) => decodeURIComponent(String(req.headers['x-key'])) })
    for (const key of ['a', '*', 'a:b', 'a\r\nb', '{a}', '__proto__', 'constructor', '~x', '%']) {
      const agent = request(it).get('/').set('x-key', encodeURIComponent(key))
      await agent.expect(200)
    }
    await request(it).get('/').set('x-key', '__proto__').expect(429)
  })
})

describe('the answer', () => {
  it('carries the list fields of the draft and X-RateLimit beside them', async () => {
    const it = app({ limit: 5, window: '1m', name: 'answers' })
    const before = Math.floor(Date.now() / 1000)
    const { headers } = await request(it).get('/').expect(200)
    expect(headers['ratelimit-policy']).toBe('"answers";q=5;w=60')
    expect(headers.ratelimit).toMatch(/^"answers";r=4;t=6[01]$/)
    expect(headers['x-ratelimit-limit']).toBe('5')
    expect(headers['x-ratelimit-remaining']).toBe('4')
    expect(Number(headers['x-ratelimit-reset'])).toBeGreaterThanOrEqual(before + 59)
    expect(Number(headers['x-ratelimit-reset'])).toBeLessThanOrEqual(before + 63)
    expect(headers['retry-after']).toBeUndefined()
  })

  it('is named after its limits without a name', async () => {
    const it = express().use(rateLimit({ redis: world.redis, limit: 77, window: '90s' }))
    const { headers } = await request(it).get('/')
    expect(headers['ratelimit-policy']).toBe('"77-in-90s";q=77;w=90')
  })

  it('keeps what other middlewares have set, on every refusal', async () => {
    const it = express()
    it.use((_req, res, next) => {
      res.setHeader('Access-Control-Allow-Origin', 'https://example.com')
      next()
    })
    it.use(limiter({ limit: 1 }))
    it.get('/', (_req, res) => void res.send('ok'))
    await request(it).get('/').expect(200)
    for (let i = 0; i < 3; i++) {
      const { headers } = await request(it).get('/').expect(429)
      expect(headers['access-control-allow-origin']).toBe('https://example.com')
      expect(headers['retry-after']).toBeDefined()
    }
  })

  it('is text for those who ask for text', async () => {
    const it = app({ limit: 1 })
    await request(it).get('/')
    for (let i = 0; i < 2; i++) {
      const text = await request(it).get('/').set('Accept', 'text/plain').expect(429)
      expect(text.headers['content-type']).toBe('text/plain; charset=utf-8')
      expect(text.text).toBe('Too many requests\n')
      const both = await request(it).get('/').set('Accept', 'application/json, text/plain, */*').expect(429)
      expect(both.headers['content-type']).toBe('application/problem+json')
    }
  })

  it('comes from the handler where there is one', async () => {
    const it = app({
      limit: 1,
      handler: (_req, res, _next, decision) => res.json({ wait: decision.retryAfterMs > 0 }),
    })
    await request(it).get('/').expect(200)
    for (let i = 0; i < 2; i++) {
      const { headers } = await request(it).get('/').expect(429, { wait: true })
      expect(headers['retry-after']).toBeDefined()
    }
  })

  it('has no body for HEAD', async () => {
    const it = app({ limit: 1 })
    await request(it).head('/').expect(200)
    const { headers, text } = await request(it).head('/').expect(429)
    expect(text ?? '').toBe('')
    expect(headers['retry-after']).toBeDefined()
  })
})

it('decides once for one request, mounted twice or made twice with the same limits', async () => {
  const once = limiter({ limit: 3 })
  const it = express().use(once).use(once)
  await request(it).get('/')
  const { headers } = await request(it).get('/')
  expect(headers['x-ratelimit-remaining']).toBe('1')

  const twice = express()
    .use(rateLimit({ redis: world.redis, limit: 9, window: '17s' }))
    .use(rateLimit({ redis: world.redis, limit: 9, window: '17s' }))
  const second = await request(twice).get('/')
  expect(second.headers['x-ratelimit-remaining']).toBe('8')
  expect(second.headers.ratelimit).toMatch(/^"9-in-17s";r=8;t=\d+$/)
})

it('emits limit.exceeded for a refusal, and one event instead of one per repetition', async () => {
  const redis = await world.connect()
  const events: LimitExceeded[] = []
  redis.on('limit.exceeded', (event) => events.push(event))
  const it = express().use('/api', rateLimit({ redis, name: 'events', limit: 1, window: '1m' }))
  for (let i = 0; i < 5; i++) await request(it).post('/api/orders?secret=1')
  expect(events).toEqual([
    {
      limiter: 'events',
      policy: 'events',
      address: '127.0.0.1',
      method: 'POST',
      path: '/api/orders',
      retryAfterMs: expect.any(Number),
      blocked: false,
      repeated: 0,
      shadow: false,
    },
  ])
})

describe('bad options', () => {
  it.each([
    [{ limit: 0 }, 'limit'],
    [{ limit: -1 }, 'limit'],
    [{ limit: 1.5 }, 'limit'],
    [{ limit: Number.NaN }, 'limit'],
    [{ limit: Number.POSITIVE_INFINITY }, 'limit'],
    [{ limit: '100' as unknown as number }, 'limit'],
    [{ window: '0s' as const }, 'window'],
    [{ window: 0 }, 'window'],
    [{ window: 2 ** 31 }, 'window'],
    [{ window: '-5s' as const }, 'window'],
    [{ window: 'soon' as '1s' }, 'window'],
    [{ limit: 5, cost: 6 }, 'cost'],
    [{ cost: 0.5 }, 'cost'],
    [{ cost: -1 }, 'cost'],
    [{ policies: [] }, 'policies'],
    [{ policies: [{ name: 'a', limit: 1, window: '1s' as const }], limit: 3 }, 'policies'],
    [{ policies: [{ name: 'a b', limit: 1, window: '1s' as const }] }, 'policies'],
    [{ policies: [{ name: 'a', limit: 0, window: '1s' as const }] }, 'policies'],
    [{ policies: [{ name: 'a', limit: 2, window: '1s' as const, cost: 3 }] }, 'policies'],
    [
      {
        policies: [
          { name: 'a', limit: 2, window: '1s' as const },
          { name: 'a', limit: 3, window: '1m' as const },
        ],
      },
      'policies',
    ],
    [{ name: 'with space' }, 'name'],
    [{ ipv6PrefixLength: 129 }, 'ipv6PrefixLength'],
    [{ user: true as unknown as false }, 'user'],
    [{ keySecret: 'short' }, 'keySecret'],
    [{ allowList: ['10.0.0.0/40'] }, 'allowList'],
    [{ denyList: ['localhost'] }, 'denyList'],
    [{ headers: ['draft-6', 'draft-7'] as const }, 'headers'],
    [{ headers: 'draft-8' as 'draft-7' }, 'headers'],
    [{ onUnavailable: 'explode' as 'allow' }, 'onUnavailable'],
    [{ escalation: { factor: 2 } }, 'escalation'],
    [{ blockDuration: 0 }, 'blockDuration'],
    [{ limits: 3 } as object, 'limits'],
  ])('%p: one error that names %s', (options, name) => {
    expect(() => limiter(options)).toThrow(
      expect.objectContaining({
        code: 'ERR_HOLDFAST_CONFIG',
        option: name,
        message: expect.stringContaining(`"${name}"`),
      }),
    )
  })

  it('never show a secret', () => {
    expect(() => limiter({ keySecret: 'hunter2' })).toThrow(/\[secret\]/)
  })

  it('without Redis are refused', () => {
    expect(() => rateLimit({} as RateLimitOptions)).toThrow(/"redis" is required/)
  })
})
