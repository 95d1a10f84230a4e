import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import { PassThrough, Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeEach, describe, expect, it } from '@jest/globals'
import compression from 'compression'
import type { Express, RequestHandler } from 'express'
import session from 'express-session'
import request from 'supertest'
import { createRedisManager, type RedisManager } from '../../src/redis/index.js'
import type { ResponseCacheOutcome } from '../../src/response-cache/index.js'
import { eventually } from '../support/eventually.js'
import type { RedisServer } from '../support/redis-server.js'
import { useRedis } from '../support/use-redis.js'
import { type AppOptions, appWith, raw, warmUp } from './app.js'

/*
 * The 42 ways in which caches of HTTP responses were found to go wrong, in the order and with the numbers of the research
 * behind this package. Most have closer tests beside this file; here each has one that fails if it is fallen into.
 */
let server: RedisServer
let redis: RedisManager
let outcomes: ResponseCacheOutcome[] = []

useRedis(async (own) => {
  server = own.server
  redis = own.redis
  redis.on('response-cache', (outcome) => outcomes.push(outcome))
  await warmUp(redis)
})
beforeEach(async () => {
  await server.client().flushall()
  outcomes = []
})

type Headers = Record<string, string>

const get = (app: Express, path = '/', headers: Headers = {}) =>
  request(app).get(path).set(headers).redirects(0).buffer(true)
const stateOf = async (app: Express, path = '/', headers: Headers = {}) =>
  (await get(app, path, headers)).headers['x-cache']
const send =
  (body: string | Buffer, headers: Record<string, string | string[]> = {}, status = 200): RequestHandler =>
  (_req, res) =>
    void res.status(status).set(headers).send(body)
const cached = (handler: RequestHandler, options: Partial<AppOptions> = {}) => appWith(handler, { redis, ...options })
const standard = (handler: RequestHandler, options: Partial<AppOptions> = {}) =>
  cached(handler, { ttl: undefined, ...options })
const statesOfTwo = async (app: Express, headers: Headers = {}) => [
  await stateOf(app, '/', headers),
  await stateOf(app, '/', headers),
]

describe('what is asked, and what is stored', () => {
  it('1: an answer to HEAD does not stand for GET, but that to GET answers HEAD', async () => {
    const { app } = cached(send('whole'))
    await request(app).head('/')
    expect((await get(app)).text).toBe('whole')
    const head = await request(app).head('/')
    expect([head.headers['x-cache'], head.headers['content-length']]).toEqual(['HIT', '5'])
  })

  it('2: a condition of the first client does not empty the answer for all', async () => {
    const { app } = cached(send('whole', { ETag: '"v1"' }))
    expect((await get(app, '/', { 'If-None-Match': '"v1"' })).status).toBe(304)
    expect((await get(app)).text).toBe('whole')
  })

  it('3: a made-up If-Modified-Since stores no 304, and a Range no 206', async () => {
    const { app } = cached(send('whole', { 'Last-Modified': new Date(0).toUTCString() }))
    await get(app, '/', { 'If-Modified-Since': new Date().toUTCString() })
    await get(app, '/', { Range: 'bytes=0-1' })
    const whole = await get(app)
    expect([whole.status, whole.text]).toEqual([200, 'whole'])
  })

  it.each([302, 303, 307, 400, 401, 403, 404, 429, 500, 503])('4: %i is not stored under a ttl', async (status) => {
    const { app } = cached(send('no', {}, status))
    expect(await statesOfTwo(app)).toEqual(['MISS', 'MISS'])
  })

  it.each([
    [400, 'MISS', 'HIT'],
    [403, 'MISS', 'HIT'],
    [404, 'HIT', 'HIT'],
    [410, 'HIT', 'HIT'],
    [500, 'MISS', 'HIT'],
    [503, 'MISS', 'HIT'],
  ])(
    '4: %i that states its freshness is a %s by default, a %s where errors are stored',
    async (status, state, asked) => {
      const handler = send('no', { 'Cache-Control': 'max-age=60' }, status)
      expect((await statesOfTwo(standard(handler).app))[1]).toBe(state)
      expect((await statesOfTwo(standard(handler, { storeErrors: true, namespace: 'errors' }).app))[1]).toBe(asked)
    },
  )

  it('4: the freshness that a page was given before it failed is not that of its error', async () => {
    const { app } = standard((req, res) => {
      res.set('Cache-Control', 'public, max-age=3600')
      if (req.app.locals.down) res.status(500).send('down')
      else res.send('up')
    })
    app.locals.down = true
    expect((await get(app)).status).toBe(500)
    app.locals.down = false
    expect((await get(app)).text).toBe('up')
  })

  it.each([
    ['"v1"', 304],
    ['W/"v1"', 304],
    ['"a, b", W/"v1"', 304],
    ['*', 304],
    ['"v2"', 200],
    ['v1', 200],
    ['""', 200],
  ])('5: If-None-Match: %s is compared weakly and as a list: %i', async (tags, status) => {
    const { app } = cached(send('x', { ETag: '"v1"' }))
    await get(app)
    await get(app, '/', { 'If-None-Match': tags, 'If-Modified-Since': new Date().toUTCString() }).expect(status)
  })

  it('6: a 304 carries what a 200 would, and no length', async () => {
    const sent = {
      ...{ 'Cache-Control': 'max-age=60', 'Content-Location': '/here', ETag: '"v1"', Vary: 'Accept' },
      ...{ Expires: new Date(Date.now() + 60_000).toUTCString(), Date: new Date().toUTCString() },
    }
    const { app } = cached(send('x', sent))
    await get(app)
    const { status, headers } = await get(app, '/', { 'If-None-Match': '"v1"' })
    expect([status, headers['x-cache'], headers['content-length'], headers['content-type']]).toEqual([
      ...[304, 'HIT', undefined, undefined],
    ])
    for (const [name, value] of Object.entries(sent)) expect(headers[name.toLowerCase()]).toBe(value)
  })

  it('7: Set-Cookie is stored for nobody and goes to no follower', async () => {
    let visitor = 0
    const { app } = cached(async (_req, res) => {
      await sleep(50)
      res.cookie('sid', `v${++visitor}`).send('x')
    })
    const answers = await Promise.all(Array.from({ length: 10 }, () => get(app)))
    expect(new Set(answers.map(({ headers }) => String(headers['set-cookie']))).size).toBe(10)
  })

  it('8: nor is a cookie that comes while the head is sent', async () => {
    const sessions = session({ secret: 'a', resave: false, saveUninitialized: true })
    const { app } = cached(send('x'), { before: [sessions] })
    expect(await statesOfTwo(app)).toEqual(['MISS', 'MISS'])
  })

  it('9: credentials keep a request out, unless a key takes them in', async () => {
    const whoami: RequestHandler = (req, res) => void res.send(req.get('authorization'))
    expect(await statesOfTwo(cached(whoami).app, { Authorization: 'ann' })).toEqual(['BYPASS', 'BYPASS'])
    const keyed = cached(whoami, { key: (req) => req.get('authorization') ?? '' })
    expect(await statesOfTwo(keyed.app, { Authorization: 'ann' })).toEqual(['MISS', 'HIT'])
    expect((await get(keyed.app, '/', { Authorization: 'bob' })).text).toBe('bob')
  })

  it('9: what is under a key is private to caches in front, unless it says itself what it is', async () => {
    const key = () => 'ann'
    const { app } = cached(send('x'), { key })
    for (const state of ['MISS', 'HIT']) {
      const { headers } = await get(app)
      expect([headers['x-cache'], headers['cache-control']]).toEqual([state, 'private'])
    }
    const open = cached(send('x', { 'Cache-Control': 'public, max-age=5' }), { key, namespace: 'open' })
    await get(open.app)
    expect((await get(open.app)).headers['cache-control']).toBe('public, max-age=5')
    expect((await get(cached(send('x'), { namespace: 'none' }).app)).headers['cache-control']).toBeUndefined()
  })

  it.each(['private=""', 'no-cache="', 'private="unclosed', '"no-store"', 'no-store;x', 'public private'])(
    '10: Cache-Control: %s restricts, however malformed',
    async (value) => {
      expect(await statesOfTwo(cached(send('x', { 'Cache-Control': value })).app)).toEqual(['MISS', 'MISS'])
    },
  )

  it.each<[Record<string, string | string[]>]>([
    [{ 'Cache-Control': 'max-age=60', Age: 'old' }],
    [{ 'Cache-Control': 'max-age=60', Age: ['0', '0'] }],
    [{ 'Cache-Control': 'max-age=60, max-age=0' }],
    [{ 'Cache-Control': 'max-age=60s' }],
    [{ 'Cache-Control': 'max-age=-1' }],
    [{ Expires: 'soon' }],
    [{ Expires: '0' }],
  ])('11: %j is stale', async (headers) => {
    const { app } = standard((_req, res) => void res.writeHead(200, headers).end('x'))
    expect(await statesOfTwo(app)).toEqual(['MISS', 'MISS'])
  })

  it('12: the host is part of the key, a forwarded one only from a proxy that is trusted', async () => {
    const { app } = cached((req, res) => void res.send(`//${req.hostname}`))
    await get(app, '/', { Host: 'a.example', 'X-Forwarded-Host': 'evil.example' })
    expect(await stateOf(app, '/', { Host: 'b.example' })).toBe('MISS')
    expect((await get(app, '/', { Host: 'a.example' })).text).toBe('//a.example')
  })

  it('13: a header that Vary names makes another answer, and Vary: * none at all', async () => {
    const { app } = cached((req, res) => void res.vary('X-Plan').send(req.get('x-plan')))
    await get(app, '/', { 'X-Plan': 'free' })
    expect((await get(app, '/', { 'X-Plan': 'gold' })).text).toBe('gold')
    expect(await statesOfTwo(cached(send('x', { Vary: '*' }), { namespace: 'any' }).app)).toEqual(['MISS', 'MISS'])
  })

  it('13: a Vary that names what every object has does no harm', async () => {
    for (const name of ['constructor', '__proto__', 'toString', 'hasOwnProperty']) {
      const { app } = cached(send('x', { Vary: name }), { namespace: name })
      expect(await statesOfTwo(app)).toEqual(['MISS', 'HIT'])
    }
  })

  it('14: an echoed origin is not handed to another', async () => {
    const { app } = cached((req, res) => void res.set('Access-Control-Allow-Origin', req.get('origin')).send('x'))
    await get(app, '/', { Origin: 'https://evil.example' })
    const { headers } = await get(app, '/', { Origin: 'https://good.example' })
    expect(headers['access-control-allow-origin']).toBe('https://good.example')
  })

  it('15: what belongs to one request is not replayed', async () => {
    const own = {
      ...{ 'X-Request-Id': 'r1', 'RateLimit-Remaining': '1', 'X-RateLimit-Limit': '5', traceparent: '00-1' },
      ...{ 'Server-Timing': 'db;dur=5', 'X-Response-Time': '5ms', 'Retry-After': '1' },
    }
    const { app } = cached(send('x', own))
    await get(app)
    const { headers } = await get(app)
    expect(headers['x-cache']).toBe('HIT')
    for (const name of Object.keys(own)) expect(headers[name.toLowerCase()]).toBeUndefined()
  })

  it('15: a page with a nonce is not stored, whoever set it; an answer that is no page is', async () => {
    const policy = { 'Content-Security-Policy': "script-src 'nonce-abc'" }
    const inside = cached(send('<p>', { ...policy, 'Content-Type': 'text/html' }))
    expect(await statesOfTwo(inside.app)).toEqual(['MISS', 'MISS'])
    const before: RequestHandler = (_req, res, next) => next(void res.set(policy))
    const outside = cached(send('<p>', { 'Content-Type': 'text/html' }), { before: [before], namespace: 'outside' })
    expect(await statesOfTwo(outside.app)).toEqual(['MISS', 'MISS'])
    const data = cached((_req, res) => void res.json({}), { before: [before], namespace: 'data' })
    expect(await statesOfTwo(data.app)).toEqual(['MISS', 'HIT'])
  })
})

describe('how it is captured and replayed', () => {
  it('16: several headers of one name stay several, and those of the connection are dropped', async () => {
    const { app } = cached((_req, res) => {
      res.setHeader('Link', ['<a>', '<b>']).setHeader('X-Hop', '1').setHeader('Connection', 'close, X-Hop').end('x')
    })
    const ask = () => raw(app, 'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n')
    await ask()
    const wire = await ask()
    expect(wire).toMatch(/x-cache: hit/i)
    expect(wire.match(/^link: <[ab]>\r$/gim)).toHaveLength(2)
    expect(wire).not.toMatch(/x-hop/i)
  })

  const ways: [string, RequestHandler][] = [
    [
      'write and end',
      (_req, res) => {
        res.write('ab')
        res.end('c')
      },
    ],
    ['a pipe', (_req, res) => void Readable.from([Buffer.from('a'), Buffer.from('bc')]).pipe(res)],
    ['writeHead with a reason and a list', (_req, res) => void res.writeHead(200, 'Fine', ['X-A', 'b']).end('abc')],
    ['a text in another encoding', (_req, res) => void res.end('616263', 'hex')],
    ['a Uint8Array', (_req, res) => void res.end(new Uint8Array([97, 98, 99]))],
  ]
  it.each(ways)('17: %s is captured as json is', async (_name, handler) => {
    const { app } = cached(handler)
    const read = async () => {
      const wire = await raw(app, 'GET / HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n')
      return [/X-Cache: (\w+)/.exec(wire)?.[1], wire.split('\r\n\r\n')[1]]
    }
    expect([await read(), await read()]).toEqual([
      ['MISS', 'abc'],
      ['HIT', 'abc'],
    ])
  })

  it('17: write says what the socket says, and calls back', async () => {
    const said: unknown[] = []
    const { app } = cached((_req, res) => {
      const full = Buffer.alloc(1024 * 1024)
      said.push(res.write(full, () => said.push('written')))
      res.once('drain', () => res.end(() => said.push('ended')))
    })
    await drained(app)
    await eventually(() => said.includes('ended'))
    expect(said).toEqual([false, 'written', 'ended'])
  })

  it('18: bytes are stored as bytes', async () => {
    const bytes = randomBytes(10_000)
    const { app } = cached(send(bytes))
    await get(app)
    const keys = await server.client().keys('holdfast:responses:default*')
    const sizes = await Promise.all(keys.map((key) => server.client().strlen(key)))
    expect(Math.max(...sizes)).toBeLessThan(bytes.length + 1000)
    const hit = await get(app).parse((res, done) => {
      const chunks: Buffer[] = []
      ;(res as unknown as Readable)
        .on('data', (chunk) => chunks.push(chunk))
        .on('end', () => done(null, Buffer.concat(chunks)))
    })
    expect(bytes.equals(hit.body as Buffer)).toBe(true)
  })

  it('19: a buffer that is used again does not change what was stored', async () => {
    const { app } = cached((_req, res) => {
      const shared = Buffer.from('one ')
      res.write(shared)
      setImmediate(() => {
        shared.write('two ')
        res.end(shared)
      })
    })
    await get(app)
    expect(await rawBody(app)).toBe('one two ')
  })

  it('20: half an answer is not stored, nor one of another length than it announced', async () => {
    const broken = cached((_req, res) => {
      res.write('half')
      setImmediate(() => res.destroy())
    })
    await get(broken.app).catch(() => {})
    expect(outcomes.at(-1)).toEqual({ outcome: 'miss', stored: false, reason: 'aborted' })
    const short = cached((_req, res) => void res.writeHead(200, { 'Content-Length': '5' }).end('abc'))
    await get(short.app)
      .timeout(500)
      .catch(() => {})
    await eventually(() => outcomes.some((each) => each.outcome === 'miss' && !each.stored && each.reason === 'length'))
    expect(await server.client().keys('holdfast:responses:default*')).toEqual([])
  })

  it('20: a client that gives up waiting does not cost the next one the work', async () => {
    let entered = 0
    const release = new PassThrough()
    const { app, runs } = cached(async (_req, res) => {
      entered++
      await once(release, 'data')
      res.json({ slow: true })
    })
    const http = app.listen(0, '127.0.0.1')
    await once(http, 'listening')
    const socket = connect((http.address() as AddressInfo).port, '127.0.0.1')
    socket.write('GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n')
    await eventually(() => entered === 1)
    socket.destroy()
    await eventually(() =>
      outcomes.some((each) => each.outcome === 'miss' && !each.stored && each.reason === 'aborted'),
    )
    release.write('go')
    await eventually(async () => (await server.client().keys('holdfast:responses:default*')).length > 0)
    const next = await request(http).get('/').set('Host', 'shop.example')
    expect([next.headers['x-cache'], next.body, runs()]).toEqual(['HIT', { slow: true }, 1])
    http.close()
  })

  it('20: nor does it store what a session would have marked with a cookie', async () => {
    let entered = 0
    const release = new PassThrough()
    const sessions = session({ secret: 'a', resave: false, saveUninitialized: true })
    const { app } = cached(
      async (_req, res) => {
        if (++entered === 1) await once(release, 'data')
        res.json({ mine: true })
        if (entered === 1) entered++
      },
      { before: [sessions] },
    )
    const http = app.listen(0, '127.0.0.1')
    await once(http, 'listening')
    const socket = connect((http.address() as AddressInfo).port, '127.0.0.1')
    socket.write('GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n')
    await eventually(() => entered === 1)
    socket.destroy()
    await eventually(() => outcomes.length > 0)
    release.write('go')
    await eventually(() => entered === 2)
    expect(await stateOf(app, '/', { Host: 'shop.example' })).not.toBe('HIT')
    http.close()
  })

  it('21: nobody waits for a stream that does not end', async () => {
    const { app, runs } = cached((_req, res) => {
      res.type('text/event-stream').write('data: 1\n\n')
      setTimeout(() => res.end(), 300)
    })
    const answers = await Promise.all([get(app), get(app), get(app)])
    expect([answers.map(({ status }) => status), runs()]).toEqual([[200, 200, 200], 3])
  })

  it('22: those who waited for what is not stored go on side by side', async () => {
    let [inside, most] = [0, 0]
    const { app } = cached(async (_req, res) => {
      most = Math.max(most, ++inside)
      await sleep(100)
      inside--
      res.set('Cache-Control', 'private').send('x')
    })
    await get(app)
    await Promise.all(Array.from({ length: 10 }, () => get(app)))
    expect(most).toBeGreaterThan(5)
  })

  it('23: a body longer than allowed is sent whole and kept nowhere, whatever length was announced', async () => {
    const { app } = cached((_req, res) => void Readable.from([Buffer.alloc(600), Buffer.alloc(600)]).pipe(res), {
      maxBytes: 1000,
    })
    expect((await drained(app)).body).toBe(1200)
    expect(outcomes.at(-1)).toEqual({ outcome: 'miss', stored: false, reason: 'too-large' })
  })

  it('24: copies in the process are bounded in bytes, whatever their number', async () => {
    const { app } = cached((req, res) => void res.send(Buffer.alloc(900_000, req.path)), { local: true })
    const readsFor = async (path: string): Promise<number> => {
      const reads = async () => Number(/cmdstat_mget:calls=(\d+)/.exec(await server.client().info('commandstats'))?.[1])
      const before = await reads()
      await drained(app, path)
      return (await reads()) - before
    }
    // A copy is kept once Redis is known to tell of changes, and has told of the writing itself.
    const keep = (path: string) => eventually(async () => (await readsFor(path)) === 0)
    await keep('/first')
    for (let index = 0; index < 80; index++) await keep(`/${index}`)
    expect(await readsFor('/first')).toBeGreaterThan(0)
  }, 120_000)

  const text = 'compressible '.repeat(500)
  it.each(['before', 'after'] as const)(
    '25: compression %s the cache gives each client what it reads',
    async (place) => {
      const { app } = cached(send(text, { 'Content-Type': 'text/plain' }), { [place]: [compression()] })
      for (const encoding of ['gzip', 'identity', 'br', 'gzip', 'identity', 'br']) {
        const { headers, text: got } = await get(app, '/', { 'Accept-Encoding': encoding })
        expect(headers['content-encoding']).toBe(encoding === 'identity' ? undefined : encoding)
        if (encoding !== 'br') expect(got).toBe(text)
        expect(headers.vary).toMatch(/accept-encoding/i)
      }
    },
  )

  it('26: parts of a compressed answer are not joined by an ETag that all encodings share', async () => {
    const { app } = cached(send(text, { 'Content-Type': 'text/plain', ETag: '"v1"' }), { after: [compression()] })
    const zipped = { 'Accept-Encoding': 'gzip' }
    await get(app, '/', zipped)
    const part = await get(app, '/', { ...zipped, Range: 'bytes=0-9', 'If-Range': '"v1"' })
    expect([part.status, part.headers['x-cache']]).toEqual([200, 'HIT'])
  })

  it('26: nor is a part of the stored bytes compressed on its way', async () => {
    const { app } = cached(send(text, { 'Content-Type': 'text/plain' }), { before: [compression()] })
    await get(app)
    const part = await get(app, '/', { 'Accept-Encoding': 'gzip', Range: 'bytes=0-2999' })
    expect([part.status, part.headers['content-encoding'], part.headers['content-range'], part.text]).toEqual([
      ...[206, undefined, `bytes 0-2999/${text.length}`, text.slice(0, 3000)],
    ])
  })

  it('27: an answer without a validator gets a weak one over its bytes, and no date that is made up', async () => {
    const { app } = cached((_req, res) => void res.end('bytes'))
    await get(app)
    const { headers } = await get(app)
    expect(headers.etag).toMatch(/^W\/"/)
    expect(headers['last-modified']).toBeUndefined()
    await get(app, '/', { 'If-None-Match': headers.etag as string }).expect(304)
  })
})

/** Asks without keeping what is answered; its body is the number of bytes. */
function drained(app: Express, path = '/'): request.Test {
  return get(app, path).parse((res, done) => {
    let bytes = 0
    const stream = res as unknown as Readable
    stream.on('data', (chunk: Buffer) => {
      bytes += chunk.length
    })
    stream.on('end', () => done(null, bytes as never))
  })
}

async function rawBody(app: Express): Promise<string | undefined> {
  return (await raw(app, 'GET / HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n')).split('\r\n\r\n')[1]
}

describe('keys', () => {
  it('28: parameters in another order are the same, those of one name in another order are not', async () => {
    const { app } = cached((req, res) => void res.send(req.originalUrl))
    await get(app, '/?a=1&b=2')
    expect(await stateOf(app, '/?b=2&a=1')).toBe('HIT')
    await get(app, '/?a=1&a=2')
    expect(await stateOf(app, '/?a=2&a=1')).toBe('MISS')
  })

  it('29: no text in a URL reaches another key, a pattern or a slot', async () => {
    const { app, runs } = cached((req, res) => void res.send(req.originalUrl))
    const paths = ['/a:b', '/a', '/*', '/%7Ba%7D', '/%0a', `/${'x'.repeat(9000)}`]
    for (const path of [...paths, ...paths]) expect((await get(app, path)).text).toBe(path)
    expect(runs()).toBe(paths.length)
    for (const key of await server.client().keys('*')) expect(key).toMatch(/^[\w:{}.%~/-]+$/)
  })

  it('30: parameters named as every object’s members are parameters', async () => {
    const { app } = cached((req, res) => void res.send(req.originalUrl), { ignoreQuery: ['constructor'] })
    for (const path of ['/?__proto__=1', '/?toString=1', '/?hasOwnProperty=1']) {
      expect([await stateOf(app, path), await stateOf(app, path)]).toEqual(['MISS', 'HIT'])
    }
  })

  it('31: a GET with a body passes by', async () => {
    const { app } = cached(send('x'))
    expect((await request(app).get('/').send({ evil: true })).headers['x-cache']).toBe('BYPASS')
  })
})

describe('invalidation and time', () => {
  it('32: a slow handler does not bring back what was invalidated while it ran', async () => {
    const go = new PassThrough()
    let version = 'old'
    let entered = 0
    const { app, cache } = cached(
      async (_req, res) => {
        const read = version
        entered++
        if (read === 'old') await once(go, 'data')
        res.send(read)
      },
      { tags: ['price'] },
    )
    const slow = get(app).then((res) => res.text)
    await eventually(() => entered === 1)
    version = 'new'
    expect(await cache.invalidateTags('price')).toBe(true)
    go.write('go')
    expect(await slow).toBe('old')
    expect((await get(app)).text).toBe('new')
  })

  it('33: tags leave nothing behind that grows: every key ends, and none is a set', async () => {
    const { app } = cached((req, res) => void res.vary('Accept').send(req.path), {
      tags: (req) => [`page ${req.path}`],
    })
    for (let index = 0; index < 20; index++) await get(app, `/${index}`)
    await eventually(async () => (await server.client().keys('holdfast:responses-variants:*')).length === 20)
    for (const key of await server.client().keys('*')) {
      expect(await server.client().pttl(key)).toBeGreaterThan(0)
      if (!key.startsWith('holdfast:responses-variants:')) expect(await server.client().type(key)).toBe('string')
    }
  })

  it('34: a copy in the process lives no longer than what it is a copy of', async () => {
    const { app } = cached(send('x'), { local: true, ttl: '2s' })
    await get(app)
    await eventually(async () => (await stateOf(app)) === 'HIT')
    await eventually(async () => (await stateOf(app)) === 'MISS')
  })

  it('35: versions of tags are no times: an instance whose clock is behind sees the same', async () => {
    const { app, cache } = cached(send('x'), { tags: ['a'] })
    await get(app)
    await cache.invalidateTags('a')
    const versions = await server.client().keys('holdfast:responses:{default}*')
    expect(versions.length).toBeGreaterThan(0)
    expect(await stateOf(app)).toBe('MISS')
    expect(await stateOf(app)).toBe('HIT')
  })

  it('36: a stored answer tells its age and keeps its date', async () => {
    const date = new Date(Date.now() - 5000).toUTCString()
    const { app } = standard(send('x', { 'Cache-Control': 'max-age=60', Date: date }))
    await get(app)
    const { headers } = await get(app)
    expect([headers['x-cache'], headers.date, headers['cache-control']]).toEqual(['HIT', date, 'max-age=60'])
    expect(Number(headers.age)).toBeGreaterThanOrEqual(5)
  })

  it('37: a stale answer is renewed by a request of its own, never behind one that is answered', async () => {
    const problems: unknown[] = []
    const listener = (error: unknown): void => void problems.push(error)
    process.on('uncaughtException', listener)
    const { app, runs } = cached(send('x'), { ttl: '1s', staleWhileRevalidate: '1m' })
    await get(app)
    await eventually(async () => {
      await Promise.all([get(app), get(app)])
      return runs() > 1
    })
    process.off('uncaughtException', listener)
    expect(problems).toEqual([])
  })

  it.each(['must-revalidate', 'proxy-revalidate', 's-maxage=1'])('38: %s forbids stale answers', async (directive) => {
    const { app } = standard((req, res) => {
      if (req.app.locals.down) res.status(503).send('down')
      else res.set('Cache-Control', `max-age=1, stale-if-error=60, stale-while-revalidate=60, ${directive}`).send('up')
    })
    await get(app)
    app.locals.down = true
    await eventually(async () => (await get(app)).status === 503)
  })

  it('39: what is not stored is not told to be stored', async () => {
    const { app } = cached(send('no', {}, 500))
    const { headers } = await get(app)
    expect([headers['cache-control'], headers.expires, headers['cdn-cache-control']]).toEqual([
      ...[undefined, undefined, undefined],
    ])
  })

  it('40: what the headers tell of the cache names no key, tag or URL', async () => {
    const { app } = cached(send('x'), { tags: ['secret-tag'], key: () => 'secret-user' })
    for (const { headers } of [await get(app, '/secret-path'), await get(app, '/secret-path')]) {
      expect(JSON.stringify([headers['x-cache'], headers['cache-status']])).not.toMatch(/secret/)
    }
  })

  it('41: clearing looks for no keys and flushes nothing', async () => {
    const { app, cache } = cached(send('x'))
    await get(app)
    await server.client().config('RESETSTAT')
    await cache.clear()
    expect(await server.client().info('commandstats')).not.toMatch(/cmdstat_(keys|scan|flush)/)
    expect(await stateOf(app)).toBe('MISS')
  })

  it('42: the prefix separates everything: entries, tags and what is told of them', async () => {
    const other = createRedisManager({ url: server.url, logger: false, commandTimeout: 2000, keyPrefix: 'other' })
    await other.ready('10s')
    const [a, b] = [cached(send('x'), { tags: ['t'] }), cached(send('y'), { redis: other, tags: ['t'] })]
    const host = { Host: 'shop.example' }
    await get(a.app, '/', host)
    expect((await get(b.app, '/', host)).text).toBe('y')
    await a.cache.invalidateTags('t')
    await a.cache.clear()
    expect(await stateOf(b.app, '/', host)).toBe('HIT')
    await other.close()
  })
})
