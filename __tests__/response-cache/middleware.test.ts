import { createHash, randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { get as httpGet, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import compression from 'compression'
import express, { type Express, type RequestHandler } from 'express'
import session from 'express-session'
import request from 'supertest'
import { createRedisManager, type RedisManager } from '../../src/redis/index.js'
import { type ResponseCacheOutcome, responseCache } from '../../src/response-cache/index.js'
import { eventually } from '../support/eventually.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { appWith, itCounts, raw, warmUp } from './app.js'

let server: RedisServer
let redis: RedisManager
let outcomes: ResponseCacheOutcome[] = []

beforeAll(async () => {
  server = await startRedis()
  redis = createRedisManager({ url: server.url, logger: false, commandTimeout: '10s' })
  redis.on('response-cache', (outcome) => outcomes.push(outcome))
  await redis.ready('10s')
  await warmUp(redis)
})
afterAll(async () => {
  await redis.close()
  await server.stop()
})
beforeEach(async () => {
  await server.client().flushall()
  outcomes = []
})

const json: RequestHandler = (_req, res) => void res.json({ name: 'Lamp', price: 40 })
const binary = randomBytes(3000)

/** Twice the same request; the second must be answered as the first. */
async function twice(app: Express, path = '/', headers: Record<string, string> = {}) {
  const ask = () => request(app).get(path).set(headers).buffer(true).parse(bytes)
  const first = await ask()
  const second = await ask()
  return { first, second, states: [first.headers['x-cache'], second.headers['x-cache']] }
}

function bytes(res: request.Response, done: (error: Error | null, body: Buffer) => void): void {
  const chunks: Buffer[] = []
  const stream = res as unknown as Readable
  stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  stream.on('end', () => done(null, Buffer.concat(chunks)))
}

describe.each([4, 5] as const)('the response cache on Express %i', (version) => {
  it('answers the second request from Redis, with the same head and body and its age', async () => {
    const { app, runs } = appWith(json, { redis, version })
    const { first, second, states } = await twice(app)
    expect(states).toEqual(['MISS', 'HIT'])
    expect(runs()).toBe(1)
    expect(second.body).toEqual(first.body)
    expect(second.status).toBe(200)
    expect(second.headers['content-type']).toBe(first.headers['content-type'])
    expect(second.headers.etag).toBe(first.headers.etag)
    expect(second.headers['content-length']).toBe(first.headers['content-length'])
    expect(second.headers.age).toMatch(/^\d+$/)
    expect(first.headers.age).toBeUndefined()
  })

  const source = join(tmpdir(), `holdfast-response-cache-${process.pid}.bin`)
  beforeAll(() => writeFile(source, binary))

  const ways: [string, RequestHandler][] = [
    ['json', json],
    ['send of text', (_req, res) => void res.send('héllo')],
    ['send of a Buffer', (_req, res) => void res.type('png').send(binary)],
    ['sendStatus', (_req, res) => void res.sendStatus(200)],
    ['sendFile', (_req, res) => void res.sendFile(source)],
    ['a pipe', (_req, res) => void Readable.from([binary, Buffer.from('tail')]).pipe(res)],
    [
      'write and end',
      (_req, res) => {
        res.write('a')
        res.write('ü', 'latin1')
        res.end('c')
      },
    ],
    ['writeHead with an object', (_req, res) => void res.writeHead(203, { 'X-A': 'b', 'X-B': ['1', '2'] }).end('x')],
    ['writeHead with a reason and a list', (_req, res) => void res.writeHead(200, 'Fine', ['X-A', 'b']).end('x')],
    ['setHeader, then writeHead', (_req, res) => void res.set('X-A', 'old').writeHead(200, { 'X-A': 'new' }).end('x')],
    ['end with a callback only', (_req, res) => void res.end(() => {})],
    ['end with encoding and callback', (_req, res) => void res.end('68656a', 'hex', () => {})],
    ['an empty answer', (_req, res) => void res.status(204).end()],
    ['a permanent redirect', (_req, res) => void res.redirect(308, '/elsewhere')],
  ]

  it.each(ways)('replays what was sent by %s', async (_name, handler) => {
    const { app, runs } = appWith(handler, { redis, version })
    const ask = () => request(app).get('/').redirects(0).buffer(true).parse(bytes)
    const first = await ask()
    const second = await ask()
    expect([first.headers['x-cache'], second.headers['x-cache']]).toEqual(['MISS', 'HIT'])
    expect(runs()).toBe(1)
    expect(second.status).toBe(first.status)
    expect(second.body).toEqual(first.body)
    for (const name of ['content-type', 'x-a', 'x-b', 'location', 'last-modified']) {
      expect(second.headers[name]).toEqual(first.headers[name])
    }
  })

  it('keeps what a Buffer held when it was written, not what is in it later', async () => {
    const { app } = appWith(
      (_req, res) => {
        const shared = Buffer.from('first')
        res.write(shared)
        setImmediate(() => {
          shared.write('AGAIN')
          res.end(shared)
        })
      },
      { redis, version },
    )
    const { first, second } = await twice(app)
    expect([first.body.toString(), second.body.toString()]).toEqual(['firstAGAIN', 'firstAGAIN'])
  })

  it('is mounted per route and inside nested routers, keyed by the whole path', async () => {
    const cache = responseCache({ redis, ttl: '60s' }) as RequestHandler
    const inner = express.Router().get('/x', cache, (req, res) => void res.send(req.originalUrl))
    const app = express().use('/a', inner).use('/b', inner)
    expect((await request(app).get('/a/x')).text).toBe('/a/x')
    expect((await request(app).get('/b/x')).text).toBe('/b/x')
    const hit = await request(app).get('/a/x')
    expect([hit.text, hit.headers['x-cache']]).toEqual(['/a/x', 'HIT'])
  })

  it('forwards what a key or tags function throws', async () => {
    for (const option of ['key', 'tags'] as const) {
      const failing = async () => {
        throw new Error('no')
      }
      const { app } = appWith(json, { redis, version, [option]: failing })
      await request(app).get('/').expect(500)
    }
  })
})

describe('what is never stored', () => {
  const handlers: [string, RequestHandler][] = [
    ['Set-Cookie', (_req, res) => void res.cookie('sid', '1').send('mine')],
    ['private', (_req, res) => void res.set('Cache-Control', 'private').send('mine')],
    ['no-store', (_req, res) => void res.set('Cache-Control', 'no-store').send('mine')],
    ['an error', (_req, res) => void res.status(500).send('no')],
    ['not found', (_req, res) => void res.status(404).send('no')],
    ['a log-in redirect', (_req, res) => void res.redirect('/login')],
    ['an event stream', (_req, res) => void res.type('text/event-stream').send('data: 1\n\n')],
    ['Vary: *', (_req, res) => void res.set('Vary', '*').send('x')],
    ['an echoed origin', (_req, res) => void res.set('Access-Control-Allow-Origin', 'https://a.example').send('x')],
    ['a wrong length', (_req, res) => void res.writeHead(200, { 'Content-Length': '5' }).end('abc')],
    [
      'a thrown error',
      () => {
        throw new Error('no')
      },
    ],
  ]
  it.each(handlers)('%s', async (_name, handler) => {
    const { app, runs } = appWith(handler, { redis })
    app.use(((_error, _req, res, _next) => void res.status(500).end()) as express.ErrorRequestHandler)
    const ask = () =>
      request(app)
        .get('/')
        .redirects(0)
        .timeout(300)
        .then(
          (res) => res.headers['x-cache'],
          () => 'failed',
        )
    await ask()
    expect(await ask()).not.toBe('HIT')
    expect(runs()).toBe(2)
    expect(await server.client().keys('holdfast:responses:default*')).toEqual([])
  })

  it('cookies that a session adds while the head is sent, mounted before or after', async () => {
    const sessions = session({ secret: 'a', resave: false, saveUninitialized: true })
    for (const place of ['before', 'after'] as const) {
      const { app, runs } = appWith(json, { redis, [place]: [sessions], cookies: 'ignore' })
      const { second, states } = await twice(app)
      expect(states).toEqual(['MISS', 'MISS'])
      expect(second.headers['set-cookie']).toHaveLength(1)
      expect(runs()).toBe(2)
    }
  })

  it('bodies longer than allowed, which are sent whole', async () => {
    const { app } = appWith((_req, res) => void Readable.from([binary, binary]).pipe(res), { redis, maxBytes: 5999 })
    const { second, states } = await twice(app)
    expect(states).toEqual(['MISS', 'MISS'])
    expect(second.body).toHaveLength(6000)
    const exact = appWith((_req, res) => void Readable.from([binary, binary]).pipe(res), { redis, maxBytes: 6000 })
    expect((await twice(exact.app)).states).toEqual(['MISS', 'HIT'])
  })

  it('answers the client broke off', async () => {
    const { app, runs } = appWith(
      (_req, res) => {
        res.write('half')
        setTimeout(() => res.end('rest'), 50)
      },
      { redis },
    )
    const http = await new Promise<Server>((resolve) => {
      const listening = app.listen(0, '127.0.0.1', () => resolve(listening))
    })
    const { port } = http.address() as AddressInfo
    await new Promise<void>((resolve) => {
      const ask = httpGet({ port, host: '127.0.0.1' }, (res) =>
        res.once('data', () => {
          ask.destroy()
          resolve()
        }),
      )
      ask.on('error', () => {})
    })
    await eventually(() =>
      outcomes.some((each) => each.outcome === 'miss' && !each.stored && each.reason === 'aborted'),
    )
    http.close()
    expect((await request(app).get('/')).headers['x-cache']).toBe('MISS')
    expect(runs()).toBe(2)
  })
})

describe('who is given what', () => {
  const whoami: RequestHandler = (req, res) => void res.send(req.get('authorization') ?? req.get('cookie') ?? 'nobody')

  it('passes requests with Authorization by', async () => {
    const { app } = appWith(whoami, { redis })
    await twice(app)
    const { second, states } = await twice(app, '/', { Authorization: 'Bearer ann' })
    expect(states).toEqual(['BYPASS', 'BYPASS'])
    expect(second.body.toString()).toBe('Bearer ann')
    expect((await request(app).get('/')).text).toBe('nobody')
  })

  it('caches them where a key says who is asking', async () => {
    const { app } = appWith(whoami, { redis, key: (req) => req.get('authorization') ?? 'anonymous' })
    for (const name of ['Bearer ann', 'Bearer bob']) {
      const { second, states } = await twice(app, '/', { Authorization: name })
      expect(states).toEqual(['MISS', 'HIT'])
      expect(second.body.toString()).toBe(name)
    }
  })

  it('leaves alone what the key calls null', async () => {
    const { app } = appWith(whoami, { redis, key: () => null })
    expect((await twice(app)).states).toEqual(['BYPASS', 'BYPASS'])
  })

  it('neither stores nor serves across cookies, unless the response is public or cookies are ignored', async () => {
    const { app } = appWith(whoami, { redis })
    await twice(app)
    expect((await twice(app, '/', { Cookie: 'sid=ann' })).second.body.toString()).toBe('sid=ann')
    expect((await request(app).get('/')).text).toBe('nobody')
    const open = appWith((_req, res) => void res.set('Cache-Control', 'public').send('x'), { redis, namespace: 'open' })
    expect((await twice(open.app, '/', { Cookie: 'sid=ann' })).states).toEqual(['MISS', 'HIT'])
    expect((await twice(open.app, '/', { Cookie: 'sid=bob' })).states).toEqual(['HIT', 'HIT'])
    const ignoring = appWith(json, { redis, cookies: 'ignore', namespace: 'ignoring' })
    expect((await twice(ignoring.app, '/', { Cookie: 'sid=ann' })).states).toEqual(['MISS', 'HIT'])
  })

  it('keys by host, and believes X-Forwarded-Host only from a trusted proxy', async () => {
    const host: RequestHandler = (req, res) => void res.send(`${req.hostname} ${req.get('x-forwarded-host')}`)
    const { app } = appWith(host, { redis })
    await request(app).get('/').set('Host', 'a.example')
    const other = await request(app).get('/').set('Host', 'b.example')
    expect(other.headers['x-cache']).toBe('MISS')
    expect((await request(app).get('/').set('Host', 'A.example')).headers['x-cache']).toBe('HIT')
    app.set('trust proxy', true)
    const forwarded = await request(app).get('/').set('Host', 'a.example').set('X-Forwarded-Host', 'c.example')
    expect([forwarded.headers['x-cache'], forwarded.text]).toEqual(['MISS', 'c.example c.example'])
  })

  it('does not let HEAD or Range stand for the whole', async () => {
    const { app, runs } = appWith((_req, res) => void res.send('whole'), { redis })
    expect((await request(app).head('/')).headers['x-cache']).toBe('BYPASS')
    const part = await request(app).get('/').set('Range', 'bytes=0-1')
    expect(part.headers['x-cache']).toBe('BYPASS')
    const { second } = await twice(app)
    expect(second.body.toString()).toBe('whole')
    const head = await request(app).head('/')
    expect([head.headers['x-cache'], head.headers['content-length'], head.text]).toEqual(['HIT', '5', undefined])
    expect(runs()).toBe(3)
  })

  it('passes other methods and requests with a body by', async () => {
    const { app } = appWith(json, { redis })
    await twice(app)
    for (const method of ['post', 'put', 'delete', 'options'] as const) {
      expect((await request(app)[method]('/')).headers['x-cache']).toBe('BYPASS')
    }
    const fat = await request(app).get('/').set('Content-Type', 'text/plain').send('body')
    expect(fat.headers['x-cache']).toBe('BYPASS')
  })

  itCounts('keeps what earlier middlewares set for this request', async () => {
    let n = 0
    const perRequest: RequestHandler = (req, res, next) => {
      n++
      res.set('X-Request-Id', `r${n}`).set('X-Trace', `t${n}`)
      if (req.get('origin')) res.set('Access-Control-Allow-Origin', req.get('origin')).vary('Origin')
      next()
    }
    const { app } = appWith(json, { redis, before: [perRequest] })
    const { second } = await twice(app, '/', { Origin: 'https://a.example' })
    expect(second.headers).toMatchObject({ 'x-cache': 'HIT', 'x-request-id': 'r2', 'x-trace': 't2' })
    const other = await request(app).get('/').set('Origin', 'https://b.example')
    expect(other.headers['access-control-allow-origin']).toBe('https://b.example')
  })
})

describe('Vary', () => {
  it('keeps one answer for each value of the named header', async () => {
    const { app, runs } = appWith((req, res) => void res.vary('Accept-Language').send(req.get('accept-language')), {
      redis,
    })
    for (const language of ['de', 'en']) await twice(app, '/', { 'Accept-Language': language })
    expect(runs()).toBe(2)
    const german = await request(app).get('/').set('Accept-Language', 'de')
    expect([german.text, german.headers['x-cache'], german.headers.vary]).toEqual(['de', 'HIT', 'Accept-Language'])
  })

  it('takes in a header that a later answer names', async () => {
    const { app } = appWith(
      (req, res) => {
        res.vary('X-A')
        if (req.get('x-a') === '2') res.vary('X-B')
        res.send(`${req.get('x-a')} ${req.get('x-b')}`)
      },
      { redis },
    )
    const ask = async (a: string, b: string) => (await request(app).get('/').set('X-A', a).set('X-B', b)).text
    for (let round = 0; round < 2; round++) {
      for (const [a, b] of [
        ['1', '1'],
        ['2', '1'],
        ['2', '2'],
      ] as const)
        expect(await ask(a, b)).toBe(`${a} ${b}`)
    }
  })
})

describe('conditional requests', () => {
  it('are hidden from the handler on a miss and answered by the cache', async () => {
    const { app, runs } = appWith(json, { redis })
    const etag = (await request(app).get('/other')).headers.etag as string
    const first = await request(app).get('/').set('If-None-Match', etag)
    expect([first.status, first.headers['x-cache'], first.headers['content-length']]).toEqual([304, 'MISS', undefined])
    const hit = await request(app).get('/').set('If-None-Match', etag)
    expect([hit.status, hit.headers['x-cache'], hit.headers.etag]).toEqual([304, 'HIT', etag])
    const whole = await request(app).get('/')
    expect([whole.status, whole.headers['x-cache'], whole.body]).toEqual([200, 'HIT', { name: 'Lamp', price: 40 }])
    expect(runs()).toBe(2)
  })

  it('gives streams a validator of its own', async () => {
    const { app } = appWith((_req, res) => void Readable.from([binary]).pipe(res), { redis })
    const { second } = await twice(app)
    const etag = second.headers.etag as string
    expect(etag).toBe(`W/"${createHash('sha1').update(binary).digest('base64url')}"`)
    expect((await request(app).get('/').set('If-None-Match', etag)).status).toBe(304)
  })

  it('a made-up date does not store an empty answer for everybody', async () => {
    const { app } = appWith((_req, res) => void res.set('Last-Modified', new Date(0).toUTCString()).send('x'), {
      redis,
    })
    const first = await request(app).get('/').set('If-Modified-Since', new Date().toUTCString())
    expect(first.status).toBe(304)
    expect((await request(app).get('/')).text).toBe('x')
  })

  it('a reload runs the handler and renews the entry', async () => {
    let n = 0
    const { app } = appWith((_req, res) => void res.send(String(++n)), { redis })
    await twice(app)
    const reload = await request(app).get('/').set('Cache-Control', 'no-cache')
    expect([reload.text, reload.headers['x-cache']]).toEqual(['2', 'MISS'])
    expect((await request(app).get('/')).text).toBe('2')
  })
})

describe('compression', () => {
  const text = 'compressible '.repeat(500)
  const handlers: [string, RequestHandler][] = [
    ['send', (_req, res) => void res.type('text').send(text)],
    ['a stream', (_req, res) => void Readable.from([text.slice(0, 3000), text.slice(3000)]).pipe(res.type('text'))],
  ]
  for (const place of ['before', 'after'] as const) {
    it.each(handlers)(`mounted ${place} the cache, with %s`, async (_name, handler) => {
      const { app, runs } = appWith(handler, { redis, [place]: [compression()] })
      for (let i = 0; i < 2; i++) {
        const zipped = await request(app).get('/').set('Accept-Encoding', 'gzip').buffer(true).parse(bytes)
        // supertest inflates by itself.
        expect(zipped.headers['content-encoding']).toBe('gzip')
        expect(zipped.body.toString()).toBe(text)
        const plain = await request(app).get('/').set('Accept-Encoding', 'identity').buffer(true).parse(bytes)
        expect(plain.headers['content-encoding']).toBeUndefined()
        expect(plain.body.toString()).toBe(text)
      }
      expect(runs()).toBe(place === 'before' ? 1 : 2)
      const wire = await raw(
        app,
        'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n',
      )
      expect(wire).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
      expect(wire.match(/content-encoding: gzip/gi)).toHaveLength(1)
    })
  }

  it('stores bytes that inflate to the text', async () => {
    const { app } = appWith(handlers[0]?.[1] as RequestHandler, { redis, after: [compression()] })
    await request(app).get('/').set('Accept-Encoding', 'gzip')
    const keys = await server.client().keys('holdfast:responses:default*')
    const frames = await Promise.all(keys.map((key) => server.client().getBuffer(key)))
    const longest = frames.sort((a, b) => (b?.length ?? 0) - (a?.length ?? 0))[0] as Buffer
    const start = longest.indexOf(Buffer.from([0x1f, 0x8b]))
    expect(gunzipSync(longest.subarray(start)).toString()).toBe(text)
  })
})

describe('invalidation', () => {
  it('by tag, by URL and of everything', async () => {
    const { app, cache } = appWith((req, res) => void res.send(req.originalUrl), {
      redis,
      tags: (req) => ['all', req.path.startsWith('/lamps') ? 'lamps' : 'chairs'],
    })
    const paths = ['/lamps/1?b=2&a=1', '/chairs/1']
    const states = async () =>
      Promise.all(paths.map(async (path) => (await request(app).get(path)).headers['x-cache'] as string))
    await states()
    expect(await states()).toEqual(['HIT', 'HIT'])
    expect(await cache.invalidateTags('lamps')).toBe(true)
    expect(await states()).toEqual(['MISS', 'HIT'])
    expect(await cache.invalidate('/lamps/1?a=1&b=2')).toBe(true)
    expect(await states()).toEqual(['MISS', 'HIT'])
    expect(await cache.invalidate('https://anywhere.example/chairs/1')).toBe(true)
    expect(await states()).toEqual(['HIT', 'MISS'])
    expect(await cache.clear()).toBe(true)
    expect(await states()).toEqual(['MISS', 'MISS'])
    expect(await states()).toEqual(['HIT', 'HIT'])
  })

  it('by URL reaches every variant and every key', async () => {
    const { app, cache, runs } = appWith((req, res) => void res.vary('Accept').send(String(req.get('accept'))), {
      redis,
      key: (req) => req.get('authorization') ?? '',
    })
    const all = async () => {
      for (const name of ['ann', 'bob']) {
        for (const type of ['text/a', 'text/b']) {
          await request(app).get('/x').set({ Authorization: name, Accept: type })
        }
      }
    }
    await all()
    await all()
    expect(runs()).toBe(4)
    await cache.invalidate('/x')
    await all()
    expect(runs()).toBe(8)
  })

  it('is not undone by a handler that began before it', async () => {
    let value = 'old'
    let release: () => void = () => {}
    let entered: () => void = () => {}
    const waiting = new Promise<void>((resolve) => {
      entered = resolve
    })
    const { app, cache } = appWith(
      async (_req, res) => {
        const read = value
        if (read === 'old') {
          await new Promise<void>((resolve) => {
            release = resolve
            entered()
          })
        }
        res.send(read)
      },
      { redis, tags: ['price'] },
    )
    const slow = request(app)
      .get('/')
      .then((res) => res.text)
    await waiting
    value = 'new'
    await cache.invalidateTags('price')
    release()
    expect(await slow).toBe('old')
    expect((await request(app).get('/')).text).toBe('new')
  })
})

describe('where caches are nested', () => {
  it('the inner one, with its tags, stores', async () => {
    const outer = responseCache({ redis, ttl: '60s' }) as RequestHandler
    const inner = responseCache({ redis, ttl: '60s', tags: ['inner'], namespace: 'inner' })
    let n = 0
    const app = express()
      .use(outer)
      .get('/', inner as RequestHandler, (_req, res) => void res.send(String(++n)))
    expect((await twice(app)).states).toEqual(['MISS', 'HIT'])
    await inner.invalidateTags('inner')
    expect((await request(app).get('/')).text).toBe('2')
  })
})

describe('bad input', () => {
  it.each([
    [{ ttl: '-1s' }, /"ttl" must be a duration/],
    [{ ttl: 0 }, /"ttl"/],
    [{ tags: [''] }, /"tags"/],
    [{ maxBytes: 0 }, /"maxBytes"/],
    [{ cookies: 'yes' }, /"cookies"/],
    [{ tll: '1s' }, /"tll" is not an option/],
    [{ redis: undefined }, /"redis" is required/],
    [{ env: { CACHE_DEFAULT_TTL: 'soon' } }, /CACHE_DEFAULT_TTL/],
    [{ env: { CACHE_DISABLED: 'maybe' } }, /CACHE_DISABLED/],
  ])('%j is one clear error at construction', (options, message) => {
    expect(() => responseCache({ redis, ...options } as never)).toThrow(message)
  })

  it('takes its ttl from CACHE_DEFAULT_TTL and is switched off by CACHE_DISABLED', async () => {
    const env = { CACHE_DEFAULT_TTL: '5s' }
    const { app } = appWith(json, { redis, ttl: undefined, env })
    expect((await twice(app)).states).toEqual(['MISS', 'HIT'])
    const keys = await server.client().keys('holdfast:responses:default*')
    expect(await server.client().pttl(keys[0] as string)).toBeLessThanOrEqual(5000)
    const off = appWith(json, { redis, env: { CACHE_DISABLED: 'true' } })
    expect((await twice(off.app)).states).toEqual(['BYPASS', 'BYPASS'])
  })

  it('serves URLs of 10,000 characters, odd queries and globs, each under its own key', async () => {
    const { app, runs } = appWith((req, res) => void res.send(req.originalUrl), { redis })
    const paths = [
      `/${'x'.repeat(10_000)}`,
      '/?__proto__=1',
      '/?__proto__[a]=1',
      '/*',
      '/[a]',
      '/%0d%0aSet-Cookie:x',
      '/%',
    ]
    for (const path of paths) {
      const { second, states } = await twice(app, path)
      expect(states).toEqual(['MISS', 'HIT'])
      expect(second.body.toString()).toBe(path)
      expect(second.headers['set-cookie']).toBeUndefined()
    }
    expect(runs()).toBe(paths.length)
  })

  itCounts('takes corrupt, foreign and forged entries for a miss', async () => {
    const problems: unknown[] = []
    const off = redis.on('data.corrupt', (event) => problems.push(event))
    const { app, runs } = appWith(json, { redis })
    await twice(app)
    const [key] = await server.client().keys('holdfast:responses:default*')
    const frame = (await server.client().getBuffer(key as string)) as Buffer
    const forged = Buffer.from(frame)
    forged.write('\r\n', forged.indexOf('application/json'))
    const wrong = Buffer.from(frame)
    wrong.write('999', wrong.indexOf('200'))
    for (const bad of [Buffer.from('?'), frame.subarray(0, -1), forged, wrong]) {
      await server.client().set(key as string, bad)
      const { first, second } = await twice(app)
      expect([first.status, first.headers['x-cache'], second.headers['x-cache']]).toEqual([200, 'MISS', 'HIT'])
    }
    expect(runs()).toBe(5)
    expect(problems).toHaveLength(4)
    off()
  })
})

itCounts('emits one outcome per request', async () => {
  const { app } = appWith(json, { redis })
  await twice(app)
  await request(app).post('/')
  await eventually(() => outcomes.length === 3)
  expect(outcomes).toEqual(
    expect.arrayContaining([
      { outcome: 'miss', stored: true, status: 200, bytes: 26 },
      { outcome: 'hit', ageMs: expect.any(Number), status: 200, bytes: 26 },
      { outcome: 'bypass', reason: 'method' },
    ]),
  )
})
