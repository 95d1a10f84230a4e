import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it } from '@jest/globals'
import express, { type Express, type RequestHandler } from 'express'
import request from 'supertest'
import { type LimitDecided, type LimitExceeded, type RateLimitOptions, rateLimit } from '../../src/rate-limit/index.js'
import type { RedisManager } from '../../src/redis/index.js'
import { aNewName, eventually, listen, useRedis } from './support.js'

const world = useRedis()

type Options = Partial<RateLimitOptions>

function app(options: Options = {}, handler?: RequestHandler): Express {
  const it = express()
  it.set('trust proxy', 1)
  it.use(rateLimit({ redis: world.redis, name: aNewName(), ...options }))
  it.all('/{*path}', handler ?? ((_req, res) => void res.send('ok')))
  it.use(((error, _req, res, _next) => void res.status(500).json({ code: error.code })) as express.ErrorRequestHandler)
  return it
}

const from = (address: string) => ({ 'X-Forwarded-For': address })
const statuses = async (it: Express, count: number, path = '/', headers: Record<string, string> = {}) => {
  const all: number[] = []
  for (let i = 0; i < count; i++) all.push((await request(it).get(path).set(headers)).status)
  return all
}

describe('several policies', () => {
  const policies = [
    { name: 'burst', limit: 2, window: '1s' as const },
    { name: 'sustained', limit: 3, window: '1m' as const },
  ]

  it('are decided together, shown together, and the violated ones are named', async () => {
    const it = app({ policies })
    const first = await request(it).get('/').expect(200)
    expect(first.headers['ratelimit-policy']).toBe('"burst";q=2;w=1, "sustained";q=3;w=60')
    expect(first.headers.ratelimit).toMatch(/^"burst";r=1;t=[12], "sustained";r=2;t=6[01]$/)
    expect(first.headers['x-ratelimit-limit']).toBe('2')
    await request(it).get('/').expect(200)
    const refused = await request(it).get('/').expect(429)
    expect(JSON.parse(refused.text)['violated-policies']).toEqual(['burst'])
    expect(Number(refused.headers['retry-after'])).toBeLessThanOrEqual(2)
    await eventually(async () => (await request(it).get('/')).status === 200, { within: 3000, every: 50 })
    const spent = await request(it).get('/').expect(429)
    expect(JSON.parse(spent.text)['violated-policies']).toContain('sustained')
    expect(Number(spent.headers['retry-after'])).toBeGreaterThan(50)
  })

  it('take one round trip', async () => {
    const it = app({ policies: [...policies, { name: 'daily', limit: 1000, window: '1d' }] })
    await request(it).get('/')
    const calls = async () => Number(/cmdstat_evalsha:calls=(\d+)/.exec(await world.client().info('commandstats'))?.[1])
    const before = await calls()
    await request(it).get('/')
    expect(await calls()).toBe(before + 1)
  })

  it('may have costs of their own', async () => {
    const it = app({
      policies: [
        { name: 'requests', limit: 10, window: '1m' },
        { name: 'points', limit: 10, window: '1m', cost: 4 },
      ],
    })
    expect(await statuses(it, 3)).toEqual([200, 200, 429])
  })
})

describe('functions of the request', () => {
  it('give each plan its limit, and a change of plan adds only the difference', async () => {
    let plan = 'free'
    const it = app({ limit: async () => ({ free: 2, pro: 4 })[plan] ?? 1 })
    expect(await statuses(it, 3)).toEqual([200, 200, 429])
    plan = 'pro'
    expect(await statuses(it, 3)).toEqual([200, 200, 429])
    plan = 'free'
    expect(await statuses(it, 1)).toEqual([429])
  })

  it('give each request its cost, its key and its policies', async () => {
    const it = app({
      name: aNewName(),
      policies: async (req) => [{ name: 'tenant', limit: Number(req.get('x-limit')), window: '1m' }],
      cost: async (req) => Number(req.query.cost),
      key: async (req) => req.get('x-tenant'),
    })
    const acme = { 'x-tenant': 'acme', 'x-limit': '10' }
    expect(await statuses(it, 3, '/?cost=5', acme)).toEqual([200, 200, 429])
    expect(await statuses(it, 2, '/?cost=0', acme)).toEqual([200, 200])
    expect(await statuses(it, 1, '/?cost=5', { ...acme, 'x-tenant': 'other' })).toEqual([200])
  })

  it('skip requests', async () => {
    const it = app({ limit: 1, skip: async (req) => req.path === '/health' })
    expect(await statuses(it, 3, '/health')).toEqual([200, 200, 200])
    expect(await statuses(it, 2)).toEqual([200, 429])
  })

  it('give the authenticated user, else the address', async () => {
    const it = app({ limit: 1, user: (req) => req.get('x-verified') })
    expect(await statuses(it, 2, '/', { 'x-verified': 'ada' })).toEqual([200, 429])
    expect(await statuses(it, 2, '/', from('192.0.2.1'))).toEqual([200, 429])
  })

  it.each([
    [{ limit: () => 0 }],
    [{ limit: () => Number.NaN }],
    [{ limit: () => 2.5 }],
    [{ limit: () => Number.POSITIVE_INFINITY }],
    [{ limit: () => undefined as unknown as number }],
    [{ cost: () => -1 }],
    [{ cost: () => 'many' as unknown as number }],
    [{ name: 'bad', policies: () => [] }],
    [{ name: 'bad', policies: () => [{ name: 'x', limit: 1, window: '0s' as const }] }],
  ] as [Options][])('%p: an error for the error handler, and nobody is counted', async (options) => {
    const it = app(options)
    await request(it).get('/').expect(500, { code: 'ERR_HOLDFAST_RATE_LIMIT_VALUE' })
  })

  it('that throw reach the error handler', async () => {
    const fail = () => {
      throw Object.assign(new Error('down'), { code: 'MINE' })
    }
    for (const options of [{ key: fail }, { limit: fail }, { cost: fail }, { skip: fail }, { allowList: fail }]) {
      await request(app(options)).get('/').expect(500, { code: 'MINE' })
    }
  })

  it('may cost more than the limit: refused, with Retry-After', async () => {
    const it = app({ limit: 3, window: '1m', cost: () => 4 })
    const { headers } = await request(it).get('/').expect(429)
    expect(headers['retry-after']).toBe('60')
  })
})

describe('lists', () => {
  it('let allowed addresses pass uncounted', async () => {
    const it = app({ limit: 1, allowList: ['10.0.0.0/8', '2001:db8::/32'] })
    expect(await statuses(it, 3, '/', from('10.1.2.3'))).toEqual([200, 200, 200])
    expect(await statuses(it, 3, '/', from('::ffff:10.1.2.3'))).toEqual([200, 200, 200])
    expect(await statuses(it, 2, '/', from('192.0.2.1'))).toEqual([200, 429])
  })

  it('answer 403 to denied ones, and tell', async () => {
    const redis = await world.connect()
    const events: LimitExceeded[] = []
    redis.on('limit.exceeded', (event) => events.push(event))
    const it = app({ redis, denyList: ['203.0.113.0/24'] })
    const { headers, text } = await request(it).get('/x').set(from('203.0.113.9')).expect(403)
    expect(headers['content-type']).toBe('application/problem+json')
    expect(JSON.parse(text)).toEqual({ type: 'about:blank', title: 'Forbidden', status: 403 })
    await request(it).get('/').set(from('192.0.2.1')).expect(200)
    expect(events).toMatchObject([{ policy: 'deny-list', address: '203.0.113.9', path: '/x', blocked: true }])
  })

  it('a flood of denied requests is one event a second, which counts the others', async () => {
    const redis = await world.connect()
    const events: LimitExceeded[] = []
    redis.on('limit.exceeded', (event) => events.push(event))
    const it = app({ redis, denyList: ['203.0.113.0/24'] })
    for (let i = 0; i < 10; i++) await request(it).get('/').set(from('203.0.113.9')).expect(403)
    await request(it).get('/').set(from('203.0.113.10')).expect(403)
    expect(events.filter(({ address }) => address === '203.0.113.9').length).toBeLessThan(5)
    await eventually(
      async () => {
        await request(it).get('/').set(from('203.0.113.9')).expect(403)
        return events.some(({ repeated }) => repeated > 0)
      },
      { every: 100, within: 3000 },
    )
    expect(events.filter(({ address }) => address === '203.0.113.10')).toHaveLength(1)
  })

  it('may be predicates', async () => {
    const it = app({ limit: 1, allowList: (req) => req.path === '/free', denyList: async (req) => req.path === '/no' })
    expect(await statuses(it, 2, '/free')).toEqual([200, 200])
    expect(await statuses(it, 1, '/no')).toEqual([403])
    expect(await statuses(it, 2)).toEqual([200, 429])
  })
})

describe('blocks', () => {
  it('refuse after a refusal for their length, as abnormal usage', async () => {
    const it = app({ limit: 1, window: '1s', blockDuration: '10m', escalation: {} })
    expect(await statuses(it, 1)).toEqual([200])
    for (let i = 0; i < 3; i++) {
      const { headers, text } = await request(it).get('/').expect(429)
      expect(Number(headers['retry-after'])).toBeGreaterThan(590)
      expect(JSON.parse(text).type).toMatch(/#abnormal-usage-detected$/)
    }
  })

  it('are set and lifted by hand', async () => {
    const limiter = rateLimit({ redis: world.redis, name: aNewName(), limit: 5 })
    const it = express().use(limiter)
    await limiter.block({ address: '127.0.0.1' }, '10m')
    await request(it).get('/').expect(429)
    expect((await limiter.peek({ address: '127.0.0.1' })).blocked).toBe(true)
    await limiter.reset({ address: '127.0.0.1' })
    await request(it).get('/').expect(404)
  })
})

it('shadow: counts and reports, and refuses nobody', async () => {
  const redis = await world.connect()
  const events: LimitExceeded[] = []
  redis.on('limit.exceeded', (event) => events.push(event))
  const it = app({ redis, limit: 1, mode: 'shadow', denyList: ['203.0.113.9'] })
  expect(await statuses(it, 3)).toEqual([200, 200, 200])
  expect(await statuses(it, 1, '/', from('203.0.113.9'))).toEqual([200])
  expect(events).toMatchObject([
    { policy: expect.any(String), shadow: true },
    { policy: 'deny-list', shadow: true },
  ])
})

it('tells whoever counts them of every outcome, allowed ones included', async () => {
  const redis = await world.connect()
  const events: LimitDecided[] = []
  const off = redis.on('limit.decided', (event) => events.push(event))
  const name = aNewName()
  const it = app({ redis, name, limit: 1, denyList: ['203.0.113.9'], allowList: ['203.0.113.10'] })
  expect(await statuses(it, 3)).toEqual([200, 429, 429])
  expect(await statuses(it, 1, '/', from('203.0.113.9'))).toEqual([403])
  expect(await statuses(it, 1, '/', from('203.0.113.10'))).toEqual([200])
  const shadow = app({ redis, name: `${name}-shadow`, limit: 1, mode: 'shadow', blockDuration: '1m' })
  expect(await statuses(shadow, 2)).toEqual([200, 200])
  const decided = { limiter: name, shadow: false }
  expect(events).toEqual([
    { ...decided, outcome: 'allowed', source: 'redis' },
    { ...decided, outcome: 'refused', source: 'redis' },
    { ...decided, outcome: 'refused', source: 'local' },
    { ...decided, outcome: 'denied', source: 'local' },
    { limiter: `${name}-shadow`, shadow: true, outcome: 'allowed', source: 'redis' },
    { limiter: `${name}-shadow`, shadow: true, outcome: 'blocked', source: 'redis' },
  ])
  off()
  expect(await statuses(it, 1)).toEqual([429])
  expect(events).toHaveLength(6)
})

it('shadow: shows the same fields whether Redis or this process knew of the refusal', async () => {
  const it = app({ limit: 1, mode: 'shadow' })
  for (const remaining of ['0', '0', '0']) {
    expect((await request(it).get('/').expect(200)).headers['x-ratelimit-remaining']).toBe(remaining)
  }
})

describe('counting by outcome', () => {
  const byPath: RequestHandler = (req, res) => void res.sendStatus(Number(req.path.slice(1)) || 200)
  const used = async (limiter: ReturnType<typeof rateLimit>) =>
    (await limiter.peek({ address: '127.0.0.1' })).tightest.used

  it('failures keep their points, successes get them back', async () => {
    const limiter = rateLimit({ redis: world.redis, name: aNewName(), limit: 3, count: 'failures' })
    const it = express().use(limiter).get('/:status', byPath)
    await statuses(it, 5, '/200')
    await eventually(async () => (await used(limiter)) === 0)
    await statuses(it, 2, '/401')
    expect(await used(limiter)).toBe(2)
    await statuses(it, 2, '/200')
    await eventually(async () => (await used(limiter)) === 2)
    expect(await statuses(it, 3, '/401')).toEqual([401, 429, 429])
    expect(await used(limiter)).toBe(3)
  })

  it('successes keep their points, failures get them back, by a definition of ones own', async () => {
    const limiter = rateLimit({
      redis: world.redis,
      name: aNewName(),
      limit: 5,
      count: 'successes',
      isFailure: (_req, res) => res.statusCode === 404,
    })
    const it = express().use(limiter).get('/:status', byPath)
    await statuses(it, 3, '/404')
    await eventually(async () => (await used(limiter)) === 0)
    await statuses(it, 2, '/500')
    expect(await used(limiter)).toBe(2)
  })

  it('lets no more parallel guesses pass than the limit', async () => {
    const limiter = rateLimit({ redis: world.redis, name: aNewName(), limit: 5, count: 'failures' })
    let tried = 0
    const it = express()
      .use(limiter)
      .get('/', async (_req, res) => {
        tried++
        await new Promise((resolve) => setTimeout(resolve, 50))
        res.sendStatus(401)
      })
    const server = listen(it)
    await Promise.all(Array.from({ length: 50 }, () => request(server).get('/')))
    server.close()
    expect(tried).toBe(5)
  })

  it('serves again as soon as points came back, whoever was refused meanwhile', async () => {
    const limiter = rateLimit({ redis: world.redis, name: aNewName(), limit: 1, window: '1m', count: 'failures' })
    const waiting: express.Response[] = []
    const server = listen(
      express()
        .use(limiter)
        .get('/slow', (_req, res) => void waiting.push(res))
        .get('/', (_req, res) => void res.send('ok')),
    )
    const slow = request(server)
      .get('/slow')
      .then(({ status }) => status)
    await eventually(() => waiting.length === 1)
    for (let i = 0; i < 3; i++) await request(server).get('/').expect(429)
    waiting[0]?.send('ok')
    expect(await slow).toBe(200)
    await eventually(async () => (await request(server).get('/')).status === 200, { within: 2000 })
    server.close()
  })

  it('counts a request the client aborted as a failure, once', async () => {
    const limiter = rateLimit({ redis: world.redis, name: aNewName(), limit: 5, count: 'failures' })
    let reached = 0
    const it = express()
      .use(limiter)
      .get('/', () => void reached++)
    const server = listen(it)
    const { port } = server.address() as AddressInfo
    const client = httpRequest({ port, path: '/' }).on('error', () => {})
    client.end()
    await eventually(() => reached === 1)
    client.destroy()
    const settled = once(server, 'close')
    server.close()
    await settled
    expect(await used(limiter)).toBe(1)
  })

  it('keeps the points where the definition throws, and the process lives', async () => {
    const limiter = rateLimit({
      redis: world.redis,
      name: aNewName(),
      limit: 5,
      count: 'failures',
      isFailure: () => {
        throw new Error('oops')
      },
    })
    await statuses(express().use(limiter).get('/:status', byPath), 2, '/200')
    expect(await used(limiter)).toBe(2)
  })
})

describe('headers', () => {
  const fields = async (options: Options) => {
    const { headers } = await request(app({ limit: 10, window: '1m', name: aNewName(), ...options })).get('/')
    return Object.fromEntries(Object.entries(headers).filter(([name]) => name.includes('ratelimit')))
  }

  it.each([
    [
      'draft-7',
      { 'ratelimit-policy': '10;w=60', ratelimit: expect.stringMatching(/^limit=10, remaining=9, reset=6[01]$/) },
    ],
    [
      'draft-6',
      {
        'ratelimit-policy': '10;w=60',
        'ratelimit-limit': '10',
        'ratelimit-remaining': '9',
        'ratelimit-reset': expect.stringMatching(/^6[01]$/),
      },
    ],
    [
      'legacy',
      {
        'x-ratelimit-limit': '10',
        'x-ratelimit-remaining': '9',
        'x-ratelimit-reset': expect.stringMatching(/^\d{10}$/),
      },
    ],
    [false, {}],
  ] as const)('%p', async (headers, expected) => {
    expect(await fields({ headers })).toEqual(expected)
  })

  it('of several limiters on one response join in the lists; single values are those of the tightest', async () => {
    const { redis } = world
    const it = express()
      .use(rateLimit({ redis, name: `a-${aNewName()}`, policies: [{ name: 'wide', limit: 100, window: '1h' }] }))
      .use(rateLimit({ redis, name: `b-${aNewName()}`, policies: [{ name: 'tight', limit: 2, window: '1m' }] }))
      .use(rateLimit({ redis, name: `c-${aNewName()}`, policies: [{ name: 'middle', limit: 10, window: '1m' }] }))
      .get('/', (req, res) => void res.json({ remaining: req.rateLimit?.remaining, used: req.rateLimit?.used }))
    const { headers, body } = await request(it).get('/').expect(200)
    expect(headers['ratelimit-policy']).toBe('"wide";q=100;w=3600, "tight";q=2;w=60, "middle";q=10;w=60')
    expect(headers.ratelimit?.replace(/t=\d+/g, 't')).toBe('"wide";r=99;t, "tight";r=1;t, "middle";r=9;t')
    expect(headers['x-ratelimit-limit']).toBe('2')
    expect(body).toEqual({ remaining: 1, used: 1 })
    await request(it).get('/')
    for (let i = 0; i < 2; i++) {
      const refused = await request(it).get('/').expect(429)
      expect(refused.headers.ratelimit?.replace(/t=\d+/g, 't')).toMatch(/^"wide";r=9\d;t, "tight";r=0;t$/)
      expect(refused.headers['x-ratelimit-remaining']).toBe('0')
    }
  })

  it('leave out a window below a second, which the draft cannot say', async () => {
    expect((await fields({ window: 250, name: 'short' }))['ratelimit-policy']).toBe('"short";q=10')
  })

  it('never come after the head was sent', async () => {
    const it = express()
      .use((_req, res, next) => {
        res.write('early')
        next()
      })
      .use(rateLimit({ redis: world.redis, name: aNewName(), limit: 1 }))
      .use((_req, res) => void res.end())
    for (let i = 0; i < 3; i++) await request(it).get('/').expect(200)
  })
})

describe('req.rateLimit', () => {
  it('shows what users of express-rate-limit know, and the decision', async () => {
    const it = app({ limit: 5, window: '1m' }, (req, res) => {
      const { limit, used, remaining, resetTime, allowed, degraded, decision } = req.rateLimit ?? {}
      res.json({ limit, used, remaining, resetTime, allowed, degraded, policies: decision?.policies.length })
    })
    const { body } = await request(it).get('/')
    expect(body).toMatchObject({ limit: 5, used: 1, remaining: 4, allowed: true, degraded: false, policies: 1 })
    expect(Math.abs(Date.parse(body.resetTime) - Date.now() - 60_000)).toBeLessThan(2000)
  })
})

describe('trust proxy', () => {
  const warnings = async (setting: unknown, headers: Record<string, string>): Promise<string[]> => {
    const redis: RedisManager = await world.connect()
    const codes: string[] = []
    redis.on('warning', ({ code }) => codes.push(code))
    const it = express().set('trust proxy', setting)
    it.use(rateLimit({ redis, name: aNewName() }))
    for (let i = 0; i < 3; i++) await request(it).get('/').set(headers)
    return codes
  }

  it('true lets clients choose their address: said once', async () => {
    expect(await warnings(true, {})).toEqual(['HOLDFAST_TRUST_PROXY_ALL'])
  })

  it('off behind a proxy gives all clients one address: said once', async () => {
    expect(await warnings(false, from('192.0.2.1'))).toEqual(['HOLDFAST_TRUST_PROXY_OFF'])
  })

  it.each([
    [1, from('192.0.2.1')],
    ['loopback', from('192.0.2.1')],
    [false, {}],
  ] as const)('%p is left alone', async (setting, headers) => {
    expect(await warnings(setting, { ...headers })).toEqual([])
  })
})

it.each(['fixed', 'gcra'] as const)('%s limits too', async (algorithm) => {
  const it = app({ limit: 3, window: '1m', algorithm })
  expect(await statuses(it, 5)).toEqual([200, 200, 200, 429, 429])
})
