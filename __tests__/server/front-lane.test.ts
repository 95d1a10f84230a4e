import { createServer as plainServer, type Server } from 'node:http'
import { afterEach, describe, expect, it } from '@jest/globals'
import compression from 'compression'
import cors from 'cors'
import express, { type Express, type RequestHandler } from 'express'
import express4 from 'express4'
import fc from 'fast-check'
import helmet from 'helmet'
import request from 'supertest'
import { compose } from '../../src/compose/index.js'
import { type RateLimitOptions, rateLimit } from '../../src/rate-limit/index.js'
import type { RedisManager } from '../../src/redis/index.js'
import {
  type ResponseCacheMiddleware,
  type ResponseCacheOptions,
  responseCache,
} from '../../src/response-cache/index.js'
import { securityLog } from '../../src/security/index.js'
import { createServer, mustRun } from '../../src/server/index.js'
import { redisSession } from '../../src/session/index.js'
import { eventually } from '../support/eventually.js'
import { type OwnRedis, useRedis } from '../support/use-redis.js'

let own: OwnRedis
let redis: RedisManager
useRedis((opened) => {
  own = opened
  redis = opened.redis
})

const open: Server[] = []
afterEach(async () => {
  for (const server of open.splice(0)) {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
})

async function listening(server: Server): Promise<Server> {
  open.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()))
  return server
}

let names = 0
const aName = (): string => `front-${++names}`
const cacheWith = (options: Partial<ResponseCacheOptions> = {}): ResponseCacheMiddleware =>
  responseCache({ redis, ttl: '1h', local: true, namespace: aName(), tags: ['all'], ...options })
const limitWith = (options: Partial<RateLimitOptions> = {}) =>
  rateLimit({ redis, name: aName(), limit: 2, window: '1h', user: false, ...options })

interface World {
  readonly app: Express
  readonly cache: ReturnType<typeof cacheWith>
  readonly server: Server
  /** Requests that Express has seen: by a middleware that leaves no trace. */
  seen(): number
}

interface WorldOptions {
  readonly make?: typeof express
  readonly before?: readonly RequestHandler[]
  readonly cache?: ResponseCacheMiddleware
  readonly front?: readonly object[]
  readonly handler?: RequestHandler
}

async function worldOf({
  make = express,
  before = [],
  cache = cacheWith(),
  front,
  handler,
}: WorldOptions = {}): Promise<World> {
  const app = make()
  app.set('env', 'test')
  let seen = 0
  app.use((_req, _res, next) => {
    seen++
    next()
  })
  for (const each of before) app.use(each)
  app.get(
    '/*path'.replace('*path', make === express ? '*path' : '*'),
    cache,
    handler ?? ((req, res) => void res.json({ path: req.path })),
  )
  const server = await listening(createServer(app, { front: front ?? [cache] }))
  return { app, cache, server, seen: () => seen }
}

type Sent = Readonly<Record<string, string>>

/** Asks until Redis has told that copies may be kept, and a copy has been used. */
async function warm({ server }: World, path = '/a', headers: Sent = {}): Promise<void> {
  await eventually(
    async () => {
      await request(server).get(path).set(headers)
      const { headers: got } = await request(server).get(path).set(headers)
      return got['x-cache'] === 'HIT'
    },
    { within: 10_000 },
  )
  for (let i = 0; i < 4; i++) await request(server).get(path).set(headers)
}

async function seesNext(world: World, path = '/a', headers: Sent = {}): Promise<boolean> {
  const before = world.seen()
  await request(world.server).get(path).set(headers)
  return world.seen() > before
}

function timeless({ status, headers, text, body }: request.Response): unknown {
  const { date: _date, age: _age, ...rest } = headers as Record<string, string>
  const cacheStatus = rest['cache-status']?.replace(/ttl=\d+/, 'ttl=')
  return { status, headers: { ...rest, 'cache-status': cacheStatus }, text, body }
}

describe.each([
  ['5', express],
  ['4', express4 as unknown as typeof express],
])('in front of Express %s', (_version, make) => {
  it('a local hit is answered as in Express, which does not see it', async () => {
    const world = await worldOf({ make, before: [helmet() as RequestHandler] })
    await warm(world)
    const seen = world.seen()
    const inFront = await request(world.server).get('/a')
    expect(world.seen()).toBe(seen)
    const inExpress = await request(await listening(plainServer(world.app))).get('/a')
    expect(world.seen()).toBe(seen + 1)
    expect(timeless(inFront)).toEqual(timeless(inExpress))
    expect(inFront.headers).toMatchObject({
      ...{ 'x-cache': 'HIT', 'x-frame-options': 'SAMEORIGIN' },
      ...{ 'content-security-policy': expect.stringContaining("default-src 'self'"), age: expect.any(String) },
    })
  })

  it('a caller known to be refused is answered as in Express, which does not see it', async () => {
    const limit = limitWith()
    const world = await worldOf({ make, before: [helmet() as RequestHandler, limit], front: [limit] })
    for (let i = 0; i < 6; i++) await request(world.server).get('/a')
    const seen = world.seen()
    const inFront = await request(world.server).get('/a').expect(429)
    expect(world.seen()).toBe(seen)
    const inExpress = await request(await listening(plainServer(world.app)))
      .get('/a')
      .expect(429)
    const withoutReset = (response: request.Response): unknown => {
      const { 'retry-after': _after, 'x-ratelimit-reset': _reset, ratelimit, ...headers } = response.headers
      const same = { ...headers, ratelimit: (ratelimit as string).replace(/t=\d+/, '') }
      return timeless({
        ...response,
        status: response.status,
        text: response.text,
        body: response.body,
        headers: same,
      } as never)
    }
    expect(withoutReset(inFront)).toEqual(withoutReset(inExpress))
  })
})

describe('a response is answered in front', () => {
  it('whatever is asked of it, as in Express: methods, conditions, ranges, cookies, variants', async () => {
    const cache = cacheWith({ ttl: undefined })
    const world = await worldOf({
      cache,
      handler: (req, res) => {
        const { say = 'public, max-age=3600' } = req.query as Record<string, string>
        if (req.query.vary !== undefined) res.vary('X-Variant')
        res.set('Cache-Control', say).set('Last-Modified', 'Mon, 01 Jan 2024 00:00:00 GMT')
        res.send(`${req.path} ${req.query.vary === undefined ? '' : req.get('x-variant')}`)
      },
    })
    const plain = await listening(plainServer(world.app))
    const paths = ['/a', '/b?vary', '/c?say=max-age=3600', '/d?say=no-cache', '/a?x=1&y=2', '/a?y=2&x=1']
    for (const path of paths) {
      for (let i = 0; i < 4; i++) await request(world.server).get(path)
      for (let i = 0; i < 2; i++) await request(world.server).head(path)
    }
    const seen = world.seen()
    let answers = 0
    const sent = fc.record({
      method: fc.constantFrom('get', 'get', 'get', 'head', 'post', 'options'),
      path: fc.constantFrom(...paths),
      headers: fc
        .array(
          fc.constantFrom<(readonly [name: string, value: string])[]>(
            ['Range', 'bytes=0-1'],
            ['Range', 'bytes=900-'],
            ['Range', 'bytes=-1'],
            ['If-None-Match', '*'],
            ['If-None-Match', '"other"'],
            ['If-Modified-Since', 'Mon, 01 Jan 2024 00:00:00 GMT'],
            ['If-Range', '"other"'],
            ['Cookie', 'a=b'],
            ['Authorization', 'Bearer x'],
            ['X-Variant', 'one'],
            ['Cache-Control', 'no-cache'],
            ['Cache-Control', 'no-store'],
            ['Cache-Control', 'max-age=0'],
            ['Cache-Control', 'only-if-cached'],
            ['Origin', 'https://other.example'],
            ['X-HTTP-Method-Override', 'DELETE'],
            ['X-Forwarded-Proto', 'https'],
            ['X-Forwarded-Host', 'other.example'],
            ['Host', 'other.example'],
            ['If-Match', '"x"'],
          ),
          { maxLength: 3 },
        )
        .map((list) => Object.fromEntries(list)),
    })
    await fc.assert(
      fc.asyncProperty(sent, async ({ method, path, headers }) => {
        const [inFront, inExpress] = [
          await request(world.server)[method as 'get'](path).set(headers),
          await request(plain)[method as 'get'](path).set(headers),
        ]
        answers += 2
        // A response of the handler may have been stored by the first of the two.
        if (inFront.headers['x-cache'] === 'HIT') expect(timeless(inFront)).toEqual(timeless(inExpress))
        else expect([inFront.status, inFront.text]).toEqual([inExpress.status, inExpress.text])
      }),
      { numRuns: process.env.HOLDFAST_TEST_FULL === '1' ? 1000 : 150 },
    )
    expect(world.seen() - seen).toBeLessThan(answers)
  })

  it('until it is invalidated, in this process and in another one', async () => {
    const world = await worldOf()
    await warm(world)
    expect(await seesNext(world)).toBe(false)
    await world.cache.invalidateTags('all')
    await request(world.server).get('/a').expect('X-Cache', 'MISS')
    await warm(world)
    expect(await seesNext(world)).toBe(false)
    await own.server.client().flushall()
    await eventually(() => seesNext(world), { within: 10_000 })
  })

  it('not while Redis is away', async () => {
    const world = await worldOf()
    await warm(world)
    own.server.pause()
    await eventually(
      async () => {
        await redis.attempt(
          'test',
          (client) => client.ping(),
          () => '',
        )
        return !redis.available
      },
      { within: 20_000 },
    )
    await request(world.server).get('/a').expect('X-Cache', 'BYPASS').expect(200)
    own.server.resume()
    await eventually(() => redis.available, { within: 20_000 })
    await warm(world)
    await eventually(async () => !(await seesNext(world)), { within: 20_000 })
  }, 60_000)

  it('over several connections at once, each with its own range', async () => {
    const world = await worldOf({ handler: (_req, res) => void res.send('0123456789') })
    await warm(world)
    const texts = await Promise.all(
      Array.from(
        { length: 50 },
        async (_, i) =>
          (
            await request(world.server)
              .get('/a')
              .set('Range', `bytes=${i % 10}-${i % 10}`)
          ).text,
      ),
    )
    expect(texts).toEqual(Array.from({ length: 50 }, (_, i) => `${i % 10}`))
  })
})

const sets =
  (name: string, value: string): RequestHandler =>
  (_req, res, next) => {
    res.setHeader(name, value)
    next()
  }

const traces: readonly (readonly [what: string, middleware: () => RequestHandler])[] = [
  ['a limiter, whose count it would escape', () => limitWith({ limit: 1000 }) as RequestHandler],
  ['a limiter that sets no headers', () => limitWith({ limit: 1000, headers: false }) as RequestHandler],
  ['a session', () => redisSession({ redis, secret: 'a secret of the tests' })],
  ['a security log that is not asked in front', () => securityLog({ redis, sink: () => {} }) as RequestHandler],
  ['composed middlewares', () => compose(limitWith({ limit: 1000 }) as RequestHandler)],
  ['a header that may differ from request to request', () => sets('X-Request-Id', 'one')],
  ['a policy with a nonce', () => sets('Content-Security-Policy', "script-src 'nonce-abc'")],
  ['Vary', () => sets('Vary', 'Origin')],
  ['cors for some origins', () => cors({ origin: ['https://good.example'] }) as RequestHandler],
  ['compression', () => compression() as RequestHandler],
  [
    'a property of the request',
    () => (req, _res, next) => {
      Object.assign(req, { id: 7 })
      next()
    },
  ],
  [
    'a local of the response',
    () => (_req, res, next) => {
      res.locals.user = 'ann'
      next()
    },
  ],
  [
    'a listener for the response’s end',
    () => (_req, res, next) => {
      res.on('finish', () => {})
      next()
    },
  ],
  [
    'a listener for the response’s close',
    () => (_req, res, next) => {
      res.on('close', () => {})
      next()
    },
  ],
  [
    'another URL for the router',
    () => (req, _res, next) => {
      req.url = '/b'
      next()
    },
  ],
  [
    'another original URL',
    () => (req, _res, next) => {
      req.originalUrl = '/b'
      next()
    },
  ],
  [
    'a property that is not enumerable',
    () => (req, _res, next) => {
      Object.defineProperty(req, 'clientIp', { value: '192.0.2.1' })
      next()
    },
  ],
  [
    'a symbol',
    () => (req, _res, next) => {
      Object.assign(req, { [Symbol('tenant')]: 7 })
      next()
    },
  ],
  [
    'another header of the request',
    () => (req, _res, next) => {
      req.headers['x-plan'] = 'free'
      next()
    },
  ],
  [
    'a header of the request less',
    () => (req, _res, next) => {
      delete req.headers['accept-encoding']
      next()
    },
  ],
  [
    'a listener on the request',
    () => (req, _res, next) => {
      req.on('close', () => {})
      next()
    },
  ],
  ['a policy with a nonce in capitals', () => sets('Content-Security-Policy', "script-src 'NONCE-abc'")],
  ['nothing, but must run', () => mustRun((_req, _res, next) => next()) as RequestHandler],
]

describe('a response is left to Express', () => {
  it.each(traces)('behind a middleware that leaves %s', async (_what, middleware) => {
    const world = await worldOf({ before: [middleware()] })
    await warm(world)
    for (let i = 0; i < 3; i++) expect(await seesNext(world)).toBe(true)
  })

  it.each([
    ['Origin', 'https://other.example'],
    ['X-HTTP-Method-Override', 'DELETE'],
    ['X-Method-Override', 'DELETE'],
    ['Authorization', 'Bearer x'],
    ['Cookie', 'a=b'],
    ['Upgrade', 'h2c'],
    ['X-Forwarded-Proto', 'https'],
    ['X-Forwarded-Host', 'other.example'],
    ['Host', 'other.example'],
    ['Cache-Control', 'no-cache'],
    ['If-Match', '"a"'],
  ])('that comes with %s', async (name, value) => {
    const world = await worldOf()
    await warm(world)
    expect(await seesNext(world)).toBe(false)
    expect(await seesNext(world, '/a', { [name]: value })).toBe(true)
  })

  it('whose URL was one only inside of the application', async () => {
    const world = await worldOf({
      before: [
        (req, res, next) => {
          if (req.url.startsWith('/internal')) res.sendStatus(403)
          else next()
        },
        (req, _res, next) => {
          req.url = `/internal${req.url}`
          req.originalUrl = req.url
          next()
        },
      ],
    })
    await warm(world)
    await request(world.server).get('/internal/a').expect(403)
  })

  it('to scripts of other sites, unless all of them may read it', async () => {
    const world = await worldOf({ before: [cors() as RequestHandler] })
    await warm(world)
    const seen = world.seen()
    await request(world.server)
      .get('/a')
      .set('Origin', 'https://other.example')
      .expect('Access-Control-Allow-Origin', '*')
    expect(world.seen()).toBe(seen)
  })

  it('of an application that is mounted in another', async () => {
    const inner = express()
    const cache = cacheWith()
    inner.get('/a', cache, (_req, res) => void res.send('inner'))
    const world = await worldOf({ before: [inner as unknown as RequestHandler], cache, front: [cache] })
    await warm(world)
    expect(await seesNext(world)).toBe(true)
  })

  it('by another host, method or spelling than it was learned by', async () => {
    const world = await worldOf()
    await warm(world, '/a?x=1&y=2')
    expect(await seesNext(world, '/a?x=1&y=2')).toBe(false)
    expect(await seesNext(world, '/a?y=2&x=1')).toBe(true)
    const seen = world.seen()
    await request(world.server).head('/a?x=1&y=2').expect(200)
    expect(world.seen()).toBe(seen + 1)
  })

  it('when a proxy that is trusted says other things of the connection', async () => {
    const world = await worldOf()
    world.app.set('trust proxy', true)
    const https = { 'X-Forwarded-Proto': 'https', 'X-Forwarded-Host': 'shop.example' }
    await warm(world, '/a', https)
    expect(await seesNext(world, '/a', https)).toBe(false)
    expect(await seesNext(world, '/a')).toBe(true)
    expect(await seesNext(world, '/a', { ...https, 'X-Forwarded-Proto': 'http' })).toBe(true)
    world.app.set('trust proxy', false)
    expect(await seesNext(world, '/a', https)).toBe(true)
  })
})

describe('a refusal is answered in front', () => {
  it('to the caller alone, as a trusted proxy names them, and not after a reset', async () => {
    const limit = limitWith()
    const world = await worldOf({ before: [limit], front: [limit] })
    world.app.set('trust proxy', 1)
    const from = (address: string): Sent => ({ 'X-Forwarded-For': address })
    for (let i = 0; i < 6; i++) await request(world.server).get('/a').set(from('192.0.2.1'))
    expect(await seesNext(world, '/a', from('192.0.2.1'))).toBe(false)
    await request(world.server).get('/a').set(from('192.0.2.2')).expect(200)
    await request(world.server).get('/a').set(from('192.0.2.2, 192.0.2.1')).expect(429)
    await limit.reset({ address: '192.0.2.1' })
    await request(world.server).get('/a').set(from('192.0.2.1')).expect(200)
  })

  it('not where something in front of the limiter decides how it may be cached', async () => {
    const limit = limitWith()
    const world = await worldOf({ before: [sets('Cache-Control', 'private'), limit], front: [limit] })
    for (let i = 0; i < 6; i++) await request(world.server).get('/a')
    await request(world.server).get('/a').expect(429).expect('Cache-Control', 'private')
  })

  it('only where the limiter stands', async () => {
    const limit = limitWith()
    const cache = cacheWith()
    const app = express()
    app.get('/free', cache, (_req, res) => void res.send('free'))
    app.use(limit)
    app.use((_req, res) => void res.send('limited'))
    const server = await listening(createServer(app, { front: [limit, cache] }))
    for (let i = 0; i < 6; i++) await request(server).get('/x')
    await request(server).get('/x').expect(429)
    for (let i = 0; i < 6; i++) await request(server).get('/free').expect(200, 'free')
    await request(server).post('/x').expect(429)
  })

  it('not behind a session, whose idle time a refused request prolongs', async () => {
    const limit = limitWith()
    const session = redisSession({ redis, secret: 'a secret of the tests' })
    const world = await worldOf({ before: [session, limit], front: [limit] })
    for (let i = 0; i < 6; i++) await request(world.server).get('/a')
    expect(await seesNext(world)).toBe(true)
  })

  it('to whom the security log has blocked, who is given no hit either', async () => {
    const security = securityLog({ redis, sink: () => {}, enforce: ['honeypot'], honeypots: ['/trap'] })
    const cache = cacheWith()
    const world = await worldOf({ before: [security as RequestHandler], cache, front: [security, cache] })
    await warm(world)
    expect(await seesNext(world)).toBe(false)
    await eventually(
      async () => {
        await request(world.server).get('/trap')
        return (await request(world.server).get('/a')).status === 429
      },
      { within: 10_000 },
    )
    for (let i = 0; i < 3; i++) await request(world.server).get('/a').expect(429)
    const seen = world.seen()
    const inFront = await request(world.server).get('/a').expect(429)
    expect(world.seen()).toBe(seen)
    expect(inFront.body).toMatchObject({ title: 'Too Many Requests' })
    await request(world.server).get('/trap').expect(429)
    expect(world.seen()).toBe(seen + 1)
    await security.close()
  }, 30_000)
})

describe('a hit in Redis', () => {
  async function asked(what: () => Promise<unknown>): Promise<number> {
    let reads = 0
    const off = redis.on('redis.call', ({ operation }) => {
      if (operation === 'responses.read') reads++
    })
    await what()
    off()
    return reads
  }

  it('is answered as in Express, which does not see it, after one read', async () => {
    const world = await worldOf({ before: [helmet() as RequestHandler], cache: cacheWith({ local: false }) })
    await warm(world)
    const seen = world.seen()
    let inFront: request.Response | undefined
    expect(
      await asked(async () => {
        inFront = await request(world.server).get('/a')
      }),
    ).toBe(1)
    expect(world.seen()).toBe(seen)
    const inExpress = await request(await listening(plainServer(world.app))).get('/a')
    expect(timeless(inFront as request.Response)).toEqual(timeless(inExpress))
    const etag = inExpress.headers.etag as string
    await request(world.server).get('/a').set('If-None-Match', etag).expect(304)
    await request(world.server).get('/a').set('Range', 'bytes=0-3').responseType('blob').expect(206)
    expect(world.seen()).toBe(seen + 1)
    for (let i = 0; i < 2; i++) {
      const head = await request(world.server).head('/a').expect(200)
      expect(head.headers['content-length']).toBe(inExpress.headers['content-length'])
    }
    expect(world.seen()).toBe(seen + 2)
  })

  it('that is none any more is told to Express, which reads nothing again', async () => {
    const world = await worldOf({ cache: cacheWith({ local: false }) })
    await warm(world)
    await world.cache.invalidateTags('all')
    const seen = world.seen()
    let response: request.Response | undefined
    expect(
      await asked(async () => {
        response = await request(world.server).get('/a')
      }),
    ).toBe(1)
    expect([response?.headers['x-cache'], world.seen()]).toEqual(['MISS', seen + 1])
    expect((await request(world.server).get('/a')).headers['x-cache']).toBe('HIT')
    expect(world.seen()).toBe(seen + 1)
  })

  it('that was read for other headers than Express has in the end is read again there', async () => {
    const world = await worldOf({
      cache: cacheWith({ local: false, ttl: undefined }),
      // Leaves no trace on requests without credentials, from which the route is learned.
      before: [
        (req, _res, next) => {
          if (req.headers.authorization !== undefined) {
            delete req.headers.authorization
            delete req.headers.cookie
          }
          next()
        },
      ],
      handler: (req, res) => {
        res.set('Cache-Control', 'max-age=3600').vary('Cookie').send(`for ${req.headers.cookie}`)
      },
    })
    await warm(world)
    await request(world.server).get('/a').set('Cookie', 'name=ann').expect(200, 'for name=ann')
    const both = { Cookie: 'name=ann', Authorization: 'Bearer x' }
    await request(world.server).get('/a').set(both).expect(200, 'for undefined')
  })

  it('that a middleware in front of the cache invalidates stands in for no error', async () => {
    const cache = cacheWith({ local: false, ttl: '1s', staleIfError: '1h' })
    let down = false
    const world = await worldOf({
      cache,
      before: [
        (_req, _res, next) => {
          if (down) cache.invalidateTags('all').then(() => next(), next)
          else next()
        },
      ],
      handler: (_req, res) => void (down ? res.sendStatus(503) : res.send('old')),
    })
    await warm(world)
    await request(world.server).get('/a').expect(200, 'old')
    await new Promise((resolve) => setTimeout(resolve, 1100))
    down = true
    await request(world.server).get('/a').expect(503)
  })

  it('is looked for behind a hung Redis no longer than one deadline, then Express answers', async () => {
    const world = await worldOf({ cache: cacheWith({ local: false }) })
    await warm(world)
    own.server.pause()
    try {
      const response = await request(world.server).get('/a')
      expect([response.status, response.headers['x-cache']]).toEqual([200, 'BYPASS'])
    } finally {
      own.server.resume()
    }
    await eventually(() => redis.available)
  }, 20_000)

  it('whose client has gone meanwhile is not told to Express, where nobody would hear of that any more', async () => {
    let waiting = 0
    const world = await worldOf({
      cache: cacheWith({ local: false }),
      before: [
        (req, res, next) => {
          if (req.headers['x-slot'] !== undefined) {
            waiting++
            res.once('close', () => waiting--)
          }
          next()
        },
      ],
    })
    await warm(world)
    own.server.pause()
    try {
      await request(world.server)
        .get('/a')
        .set({ 'X-Slot': '1', 'Cache-Control': 'no-cache' })
        .timeout(50)
        .catch(() => {})
      // The server is told of it in a turn of its own.
      await new Promise((resolve) => setTimeout(resolve, 50))
    } finally {
      own.server.resume()
    }
    await eventually(async () => redis.available && (await seesNext(world)) === false)
    expect(waiting).toBe(0)
  }, 20_000)

  it('whose client has gone meanwhile hurts nobody', async () => {
    const world = await worldOf({ cache: cacheWith({ local: false }) })
    await warm(world)
    own.server.pause()
    try {
      await request(world.server)
        .get('/a')
        .timeout(50)
        .catch(() => {})
    } finally {
      own.server.resume()
    }
    await eventually(() => redis.available)
    await eventually(async () => (await request(world.server).get('/a')).headers['x-cache'] === 'HIT')
  }, 20_000)
})

describe('createServer refuses to have in front', () => {
  it.each([
    ['a cache with a key', () => cacheWith({ key: () => 'a' }), '"key" is a function of the request'],
    ['a limiter that may count by user', () => rateLimit({ redis, name: aName() }), '"user" is not false'],
    ['a session', () => redisSession({ redis, secret: 'a secret of the tests' }), 'it is no response cache'],
    ['a handler', () => () => {}, 'it is no response cache'],
  ])('%s', (_what, make, why) => {
    expect(() => createServer(express(), { front: [make()] })).toThrow(why)
  })
})
