import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import compression from 'compression'
import cors from 'cors'
import express, { type Express, type RequestHandler } from 'express'
import session from 'express-session'
import fc from 'fast-check'
import helmet from 'helmet'
import request from 'supertest'
import { createRedisManager, type RedisManager } from '../../src/redis/index.js'
import { seamOf } from '../../src/response-cache/seam.js'
import { authorityOf, type TrustProxy, targetOf } from '../../src/response-cache/target.js'
import { Memo } from '../../src/shared/memo.js'
import { eventually } from '../support/eventually.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { appWith } from './app.js'

let server: RedisServer
let redis: RedisManager

beforeAll(async () => {
  server = await startRedis()
  redis = createRedisManager({ url: server.url, logger: false, commandTimeout: '2s' })
  await redis.ready('10s')
})
afterAll(async () => {
  await redis.close()
  await server.stop()
})

let namespaces = 0
const namespace = (): string => `hits-${namespaces++}`

async function reads(): Promise<number> {
  const info = await server.client().info('commandstats')
  return Number(/cmdstat_mget:calls=(\d+)/.exec(info)?.[1] ?? 0)
}

/** Until hits come from Redis or, where copies are kept, from this process. */
async function warm(app: Express, local: boolean, path = '/', headers: Record<string, string> = {}): Promise<void> {
  const ask = () => request(app).get(path).set('Host', 'shop.example').set(headers)
  await eventually(
    async () => {
      await ask()
      const before = await reads()
      const { headers } = await ask()
      return headers['x-cache'] === 'HIT' && (!local || (await reads()) === before)
    },
    { within: 10_000, every: 20 },
  )
}

describe.each([
  [4, false],
  [4, true],
  [5, false],
  [5, true],
] as const)('a hit on Express %s, with local copies %s', (version, local) => {
  it('leaves what the middlewares in front say of this very request', async () => {
    let requests = 0
    const own: RequestHandler = (_req, res, next) => {
      res.setHeader('X-Request-Id', `r${++requests}`)
      res.setHeader('RateLimit-Remaining', 100 - requests)
      next()
    }
    const sessions = session({ secret: 'a secret of the test', resave: false, saveUninitialized: true })
    const { app } = appWith((_req, res) => void res.json({ products: 'x'.repeat(2000) }), {
      ...{ redis, version, local, namespace: namespace(), cookies: 'ignore' },
      before: [helmet(), cors({ origin: true, credentials: true }), sessions as RequestHandler, own, compression()],
    })
    // What comes with a new session is not stored.
    const { headers } = await request(app).get('/').set('Host', 'shop.example')
    const Cookie = String(headers['set-cookie']).split(';')[0] as string
    for (const Origin of ['https://a.example', 'https://b.example']) await warm(app, local, '/', { Cookie, Origin })
    const ask = (origin: string) =>
      request(app).get('/').set('Host', 'shop.example').set('Origin', origin).set('Accept-Encoding', 'gzip')
    const first = await ask('https://a.example')
    const second = await ask('https://b.example')
    for (const { headers, body } of [first, second]) {
      expect(headers['x-cache']).toBe('HIT')
      expect(headers['content-encoding']).toBe('gzip')
      expect(headers['x-content-type-options']).toBe('nosniff')
      expect(headers['content-type']).toBe('application/json; charset=utf-8')
      expect(headers.vary?.toLowerCase().split(', ').sort()).toEqual(['accept-encoding', 'origin'])
      expect(body).toEqual({ products: 'x'.repeat(2000) })
    }
    const origins = [first, second].map(({ headers }) => headers['access-control-allow-origin'])
    expect(origins).toEqual(['https://a.example', 'https://b.example'])
    const ids = [first, second].map(({ headers }) => headers['x-request-id'])
    expect(ids).toEqual([`r${requests - 1}`, `r${requests}`])
    expect(first.headers['ratelimit-remaining']).toBe(String(101 - requests))
    const cookies = [first, second].map(({ headers }) => String(headers['set-cookie']))
    expect(cookies.every((cookie) => cookie.startsWith('connect.sid='))).toBe(true)
    expect(cookies[0]).not.toBe(cookies[1])
  })

  it('has the bytes of the miss, whatever they are', async () => {
    const bodies = new Map<string, Buffer>()
    const { app } = appWith((req, res) => void res.end(bodies.get(req.path)), {
      ...{ redis, version, local, namespace: namespace() },
    })
    const listening = app.listen(0, '127.0.0.1')
    const bytes = fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 200 }).map((array) => Buffer.from(array)),
      fc.string({ minLength: 1, unit: 'binary', maxLength: 100 }).map((text) => Buffer.from(text)),
      fc.constantFrom(8191, 8192, 8193, 100_000).map((length) => Buffer.alloc(length, 'a')),
      fc.constantFrom(8192, 8193).map((length) => Buffer.alloc(length, 0xe9)),
    )
    try {
      await fc.assert(
        fc.asyncProperty(bytes, async (body) => {
          const path = `/${bodies.size}`
          bodies.set(path, body)
          const ask = () =>
            request(listening)
              .get(path)
              .buffer(true)
              .parse(asBytes as never)
          const miss = await ask()
          const hit = await eventually(
            async () => {
              const answer = await ask()
              return answer.headers['x-cache'] === 'HIT' && answer
            },
            { within: 10_000, every: 5 },
          )
          expect([miss, hit].map((answer) => answer !== false && body.equals(answer.body as Buffer))).toEqual([
            true,
            true,
          ])
        }),
        { numRuns: 15 },
      )
    } finally {
      listening.close()
    }
  })

  it('gives no text to those who wrap end() and do not look at its encoding, but for ASCII', async () => {
    const seen: Buffer[] = []
    const listener: RequestHandler = (_req, res, next) => {
      const { end } = res
      res.end = function (this: typeof res, chunk: string | Buffer, ...rest: unknown[]) {
        seen.push(Buffer.from(chunk as string))
        return Reflect.apply(end, res, [chunk, ...rest])
      } as typeof end
      next()
    }
    const { app } = appWith((req, res) => void res.send(req.path === '/ascii' ? 'cafe' : 'café'), {
      ...{ redis, version, local, namespace: namespace() },
      before: [listener],
    })
    for (const path of ['/ascii', '/other']) await warm(app, local, path)
    seen.length = 0
    expect((await request(app).get('/ascii').set('Host', 'shop.example')).text).toBe('cafe')
    expect((await request(app).get('/other').set('Host', 'shop.example')).text).toBe('café')
    expect(seen.map(String)).toEqual(['cafe', 'café'])
  })
})

function asBytes(res: NodeJS.ReadableStream, done: (error: Error | null, body: Buffer) => void): void {
  const chunks: Buffer[] = []
  res.on('data', (chunk: Buffer) => chunks.push(chunk))
  res.on('end', () => done(null, Buffer.concat(chunks)))
}

describe('what is worked out once', () => {
  it('belongs to one host, scheme, URL and variant, however many there are', async () => {
    const { app } = appWith(
      (req, res) => {
        res
          .vary('Accept-Language')
          .send(`${req.protocol} ${req.get('host')} ${req.originalUrl} ${req.get('accept-language')}`)
      },
      { redis, local: true, namespace: namespace() },
    )
    app.set('trust proxy', true)
    const listening = app.listen(0, '127.0.0.1')
    const asked = [0, 1].flatMap(() =>
      ['http', 'https'].flatMap((scheme) =>
        ['a.example', 'b.example'].flatMap((host) =>
          ['/', '/?a=1', '/?a=1&b'].flatMap((url) =>
            [undefined, 'undefined', 'de'].map((language) => ({ scheme, host, url, language })),
          ),
        ),
      ),
    )
    try {
      for (const { scheme, host, url, language } of asked) {
        const asking = request(listening).get(url).set('Host', host).set('X-Forwarded-Proto', scheme)
        const { text } = await (language === undefined ? asking : asking.set('Accept-Language', language))
        expect(text).toBe(`${scheme} ${host} ${url} ${language}`)
      }
    } finally {
      listening.close()
    }
  })

  it('is bounded in number, keeps what is in use, and holds no long texts', () => {
    const memo = new Memo<number>(10, 100)
    memo.set('used', 1)
    for (let index = 0; index < 100; index++) {
      memo.set(`t${index}`, index)
      expect(memo.get('used')).toBe(1)
    }
    const kept = Array.from({ length: 100 }, (_, index) => memo.get(`t${index}`)).filter((value) => value !== undefined)
    expect(kept.length).toBeLessThanOrEqual(10)
    memo.set('x'.repeat(101), 1)
    expect(memo.get('x'.repeat(101))).toBeUndefined()
  })
})

describe('scheme and host', () => {
  const header = fc.option(
    fc.constantFrom('', 'a.example', 'A.example:81', 'a.example, b.example', ' https , http', 'https', ',', 'ftp'),
    { nil: undefined },
  )
  it.each([false, true, 1, 'loopback', '10.0.0.0/8'])('are those Express finds with trust proxy %s', (trust) => {
    const app = express().set('trust proxy', trust)
    fc.assert(
      fc.property(
        header,
        header,
        fc.boolean(),
        fc.constantFrom('127.0.0.1', '10.1.1.1'),
        (proto, host, tls, address) => {
          const headers = { host: 'own.example', 'x-forwarded-proto': proto, 'x-forwarded-host': host }
          const socket = { remoteAddress: address, localPort: 80, encrypted: tls }
          const req = Object.assign(Object.create(app.request), { headers, socket, connection: socket, app })
          const target = targetOf(req, '/', app.get('trust proxy fn') as TrustProxy)
          expect(target.protocol).toBe(req.protocol)
          const forwarded = (app.get('trust proxy fn') as TrustProxy)(address, 0) ? host : undefined
          expect(authorityOf(target)).toBe((forwarded || 'own.example').split(',')[0]?.trim().toLowerCase())
        },
      ),
    )
  })
})

describe('the seam', () => {
  it('answers what this process holds, with what was set before, and else does nothing at all', async () => {
    const { app, cache, runs } = appWith((_req, res) => void res.set('X-Own', '1').send('stored'), {
      ...{ redis, local: true, namespace: namespace() },
    })
    await warm(app, true)
    const seam = seamOf(cache)
    const trusts: TrustProxy = () => false
    const lane = express().disable('x-powered-by')
    lane.use(async (req, res) => {
      const answered = await seam?.answer(req, res, trusts, ['X-Lane', '1'])
      if (answered !== true) res.end(`not answered: ${res.getHeaderNames()}`)
    })
    const before = runs()
    const ask = (path: string) => request(lane).get(path).set('Host', 'shop.example')
    const hit = await ask('/')
    expect([hit.text, hit.headers['x-cache'], hit.headers['x-own'], hit.headers['x-lane']]).toEqual([
      ...['stored', 'HIT', '1', '1'],
    ])
    expect((await ask('/').set('If-None-Match', hit.headers.etag as string)).status).toBe(304)
    expect((await ask('/other')).text).toBe('not answered: ')
    expect((await ask('/').set('Cookie', 'user=1')).text).toBe('not answered: ')
    expect((await ask('/').set('Cache-Control', 'no-cache')).text).toBe('not answered: ')
    expect((await request(lane).post('/').set('Host', 'shop.example')).text).toBe('not answered: ')
    expect(runs()).toBe(before)
  })
})
