import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type RequestListener, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import compression from 'compression'
import cors from 'cors'
import type { ErrorRequestHandler, Express, RequestHandler } from 'express'
import helmet from 'helmet'
import { createProxyMiddleware } from 'http-proxy-middleware'
import request from 'supertest'
import type { RedisManager } from '../../src/redis/index.js'
import type { ResponseCacheOutcome } from '../../src/response-cache/index.js'
import { eventually } from '../support/eventually.js'
import type { RedisServer } from '../support/redis-server.js'
import { useRedis } from '../support/use-redis.js'
import { appWith, raw, warmUp } from './app.js'

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

const servers: Server[] = []
afterEach(() => {
  for (const each of servers.splice(0)) {
    each.closeAllConnections()
    each.close()
  }
})

async function listen(handler: RequestListener | Express): Promise<number> {
  const http = createServer(handler as RequestListener).listen(0, '127.0.0.1')
  servers.push(http)
  await once(http, 'listening')
  return (http.address() as AddressInfo).port
}

function bytes(res: request.Response, done: (error: Error | null, body: Buffer) => void): void {
  const chunks: Buffer[] = []
  const stream = res as unknown as Readable
  stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  stream.on('end', () => done(null, Buffer.concat(chunks)))
}

/** What tells a hit from a miss, or one moment from the next. */
const MOVING = ['date', 'age', 'x-cache', 'cache-status', 'transfer-encoding', 'content-length', 'etag', 'connection']

/** Asks twice; the second answer, from the cache, must be the first in all that counts. */
async function same(app: Express, headers: Record<string, string> = {}): Promise<request.Response> {
  const ask = () => request(app).get('/').set(headers).buffer(true).parse(bytes)
  const [first, second] = [await ask(), await ask()]
  const lasting = ({ headers: all }: request.Response) =>
    Object.fromEntries(Object.entries(all as object).filter(([name]) => !MOVING.includes(name)))
  expect([first.headers['x-cache'], second.headers['x-cache']]).toEqual(['MISS', 'HIT'])
  expect(lasting(second)).toEqual(lasting(first))
  expect([second.status, second.body]).toEqual([first.status, first.body])
  return second
}

const places = ['before', 'after'] as const

describe.each([4, 5] as const)('beside other middlewares, on Express %i', (version) => {
  it.each(places)('helmet, mounted %s the cache: every hit is as protected as the miss', async (place) => {
    const { app } = appWith((_req, res) => void res.json({ a: 1 }), {
      redis,
      version,
      [place]: [helmet() as RequestHandler],
    })
    const { headers } = await same(app)
    expect(headers['content-security-policy']).toMatch(/default-src/)
    expect(headers['x-powered-by']).toBeUndefined()
    expect(headers['strict-transport-security']).toMatch(/max-age/)
  })

  it.each(places)('cors, mounted %s the cache: each origin is given its own permission', async (place) => {
    const allow = cors({ origin: ['https://a.example', 'https://b.example'], credentials: true }) as RequestHandler
    const { app } = appWith((_req, res) => void res.json({ a: 1 }), { redis, version, [place]: [allow] })
    for (let round = 0; round < 2; round++) {
      for (const origin of ['https://a.example', 'https://evil.example', 'https://b.example']) {
        const { headers } = await request(app).get('/').set('Origin', origin)
        expect(headers['access-control-allow-origin']).toBe(origin.includes('evil') ? undefined : origin)
        expect(headers.vary).toMatch(/origin/i)
      }
    }
    const preflight = await request(app)
      .options('/')
      .set({ Origin: 'https://a.example', 'Access-Control-Request-Method': 'GET' })
    expect([preflight.status, preflight.headers['access-control-allow-origin']]).toEqual([204, 'https://a.example'])
  })

  it('helmet, cors, compression and a request id at once', async () => {
    let id = 0
    const before: RequestHandler[] = [
      (_req, res, next) => next(void res.set('X-Request-Id', String(++id))),
      helmet() as RequestHandler,
      cors() as RequestHandler,
      compression() as RequestHandler,
    ]
    const text = 'compressible '.repeat(500)
    const { app, runs } = appWith((_req, res) => void res.type('text').send(text), { redis, version, before })
    for (let time = 1; time <= 3; time++) {
      const { headers, text: got } = await request(app).get('/').set('Accept-Encoding', 'gzip')
      expect([headers['x-request-id'], headers['content-encoding'], headers['access-control-allow-origin']]).toEqual([
        ...[String(time), 'gzip', '*'],
      ])
      expect(got).toBe(text)
    }
    expect(runs()).toBe(1)
  })
})

describe('compression', () => {
  const text = 'compressible '.repeat(500)
  const plain: RequestHandler = (_req, res) => void res.type('text').send(text)
  const wire = async (app: Express, encoding: string, more = '') => {
    const port = await listen(app)
    const socket = connect(port, '127.0.0.1')
    socket.write(
      `GET / HTTP/1.1\r\nHost: a.example\r\nAccept-Encoding: ${encoding}\r\n${more}Connection: close\r\n\r\n`,
    )
    const chunks: Buffer[] = []
    for await (const chunk of socket) chunks.push(chunk)
    const all = Buffer.concat(chunks)
    const head = all.subarray(0, all.indexOf('\r\n\r\n')).toString()
    const header = (name: string) => new RegExp(`^${name}: (.*)$`, 'im').exec(head)?.[1]?.trim()
    return { header, body: all.subarray(all.indexOf('\r\n\r\n') + 4), status: Number(head.slice(9, 12)) }
  }

  it('mounted after the cache: each encoding is compressed once and stored as it was sent', async () => {
    const { app, runs } = appWith(plain, { redis, after: [compression() as RequestHandler] })
    const inflate: Record<string, (body: Buffer) => Buffer> = {
      gzip: gunzipSync,
      br: brotliDecompressSync,
      identity: (body) => body,
    }
    for (let round = 0; round < 2; round++) {
      for (const encoding of ['gzip', 'br', 'identity']) {
        const { header, body } = await wire(app, encoding)
        expect(header('X-Cache')).toBe(round === 0 ? 'MISS' : 'HIT')
        expect(header('Content-Encoding')).toBe(encoding === 'identity' ? undefined : encoding)
        expect(header('Vary')).toMatch(/accept-encoding/i)
        if (round === 0) continue
        expect(header('Content-Length')).toBe(String(body.length))
        expect(inflate[encoding]?.(body).toString()).toBe(text)
      }
    }
    expect(runs()).toBe(3)
  })

  it('mounted after the cache: lists that mean the same share an answer, those that do not, do not', async () => {
    const { app, runs } = appWith(plain, { redis, after: [compression() as RequestHandler] })
    for (const list of ['gzip, br', 'br,gzip', ' GZIP , br;q=1.0', 'gzip, br, unheard-of']) await wire(app, list)
    expect(runs()).toBe(1)
    const refused = await wire(app, 'gzip;q=0, br;q=0')
    expect([refused.header('X-Cache'), refused.header('Content-Encoding')]).toEqual(['MISS', undefined])
    expect(refused.body.toString()).toBe(text)
    expect(runs()).toBe(2)
  })

  it('mounted before the cache: one answer is stored, plain, and compressed for each client anew', async () => {
    const { app, runs } = appWith(plain, { redis, before: [compression() as RequestHandler] })
    for (const encoding of ['gzip', 'identity', 'br', 'gzip']) {
      const { headers } = await request(app).get('/').set('Accept-Encoding', encoding).buffer(true).parse(bytes)
      expect(headers['content-encoding']).toBe(encoding === 'identity' ? undefined : encoding)
      expect(headers.vary).toMatch(/accept-encoding/i)
    }
    expect(runs()).toBe(1)
    expect(await server.client().keys('holdfast:responses:default:*')).toHaveLength(1)
  })

  it.each(places)('mounted %s the cache: validators and HEAD hold for every encoding', async (place) => {
    const { app } = appWith(plain, { redis, [place]: [compression() as RequestHandler] })
    for (const encoding of ['gzip', 'identity']) {
      const { headers } = await request(app).get('/').set('Accept-Encoding', encoding)
      const condition = { 'Accept-Encoding': encoding, 'If-None-Match': headers.etag as string }
      const known = await request(app).get('/').set(condition)
      expect([known.status, known.text, known.headers['content-encoding']]).toEqual([304, '', undefined])
      const head = await request(app).head('/').set('Accept-Encoding', encoding)
      expect([head.status, head.headers['x-cache']]).toEqual([200, 'HIT'])
    }
  })

  it('that a handler does by itself, without a Vary, is given only to those who read it', async () => {
    const { app } = appWith(
      (req, res) => {
        if (req.get('accept-encoding')?.includes('gzip')) res.set('Content-Encoding', 'gzip').end(compressed)
        else res.end(text)
      },
      { redis },
    )
    const compressed = await import('node:zlib').then(({ gzipSync }) => gzipSync(text))
    await wire(app, 'gzip')
    const other = await wire(app, 'identity')
    expect([other.header('Content-Encoding'), other.body.toString().includes(text)]).toEqual([undefined, true])
    expect((await wire(app, 'gzip')).header('X-Cache')).toBe('HIT')
  })
})

describe('http-proxy-middleware as the handler', () => {
  const gateway = async (origin: RequestListener): Promise<RequestHandler> =>
    createProxyMiddleware({ target: `http://127.0.0.1:${await listen(origin)}`, changeOrigin: true }) as RequestHandler

  it('is cached in pieces and whole, head and all', async () => {
    const { app, runs } = appWith(
      await gateway(async (_req, res) => {
        res.writeHead(203, 'Fine', { 'Content-Type': 'text/plain', Link: ['<a>', '<b>'], 'X-Origin': 'yes' })
        for (const part of ['one ', 'two ', 'three']) {
          res.write(part)
          await sleep(10)
        }
        res.end()
      }),
      { redis },
    )
    const { body, headers, status } = await same(app)
    expect([status, body.toString(), headers['x-origin'], headers.link]).toEqual([
      203,
      'one two three',
      'yes',
      '<a>, <b>',
    ])
    expect(runs()).toBe(1)
  })

  it('validates what is stored with its origin, and passes failures of the origin on', async () => {
    const asked: (string | undefined)[] = []
    let down = false
    const { app } = appWith(
      await gateway((req, res) => {
        asked.push(req.headers['if-none-match'])
        if (down) return void res.destroy()
        const headers = { ETag: '"v1"', 'Cache-Control': 'no-cache' }
        if (req.headers['if-none-match'] === '"v1"') res.writeHead(304, headers).end()
        else res.writeHead(200, headers).end('body')
      }),
      { redis, ttl: undefined },
    )
    await request(app).get('/').buffer(true)
    const second = await request(app).get('/').buffer(true).parse(bytes)
    expect([second.headers['x-cache'], second.body.toString(), asked]).toEqual([
      'REVALIDATED',
      'body',
      [undefined, '"v1"'],
    ])
    down = true
    expect((await request(app).get('/')).status).toBe(504)
  })

  it('stores nothing of an origin that breaks off', async () => {
    const { app } = appWith(
      await gateway((_req, res) => {
        res.writeHead(200, { 'Content-Length': '100' }).write('half')
        setTimeout(() => res.destroy(), 50)
      }),
      { redis },
    )
    await request(app)
      .get('/')
      // http-proxy leaves its client waiting.
      .timeout(500)
      .catch(() => {})
    await eventually(() => outcomes.length > 0)
    expect(outcomes[0]).toMatchObject({ outcome: 'miss', stored: false })
    expect(await server.client().keys('holdfast:responses:default:*')).toEqual([])
  })
})

describe('streams', () => {
  const size = 8 * 1024 * 1024
  const piece = randomBytes(64 * 1024)

  function* pieces() {
    for (let sent = 0; sent < size; sent += piece.length) yield piece
  }

  it('wait for a slow client, and what is stored is what it read', async () => {
    let produced = 0
    const { app } = appWith(
      async (_req, res) => {
        const counted = Readable.from(pieces(), { objectMode: false, highWaterMark: piece.length })
        counted.on('data', (chunk) => {
          produced += chunk.length
        })
        counted.pause()
        await pipeline(counted, res)
      },
      { redis, maxBytes: size },
    )
    const port = await listen(app)
    const socket = connect(port, '127.0.0.1').pause()
    socket.write('GET / HTTP/1.0\r\nHost: a.example\r\n\r\n')
    // As much as the two kernels hold between them, and then no more.
    await eventually(() => produced > 0)
    let before = -1
    await eventually(
      () => {
        const still = produced === before
        before = produced
        return still
      },
      { every: 300 },
    )
    expect(produced).toBeLessThan(size)
    const hash = createHash('sha256')
    for await (const chunk of socket) hash.update(chunk)
    expect(produced).toBe(size)
    await eventually(() => outcomes.length > 0)
    expect(outcomes).toEqual([{ outcome: 'miss', stored: true, status: 200, bytes: size }])
    const hit = await request(app).get('/').set('Host', 'a.example').buffer(true).parse(bytes)
    expect(hit.headers['x-cache']).toBe('HIT')
    const expected = createHash('sha256')
    for (const each of pieces()) expected.update(each)
    expect(
      createHash('sha256')
        .update(hit.body as Buffer)
        .digest('hex'),
    ).toBe(expected.digest('hex'))
  })

  it('end with the client that breaks off, and leave nothing behind', async () => {
    let ended: unknown
    const { app } = appWith(
      async (_req, res) => {
        await pipeline(Readable.from(pieces(), { objectMode: false }), res).catch((error) => {
          ended = error
        })
      },
      { redis, maxBytes: size },
    )
    const socket = connect(await listen(app), '127.0.0.1')
    socket.write('GET / HTTP/1.0\r\nHost: a.example\r\n\r\n')
    await once(socket, 'data')
    socket.destroy()
    await eventually(() => ended !== undefined)
    await eventually(() => outcomes.length > 0)
    expect(outcomes).toEqual([{ outcome: 'miss', stored: false, reason: 'aborted' }])
    expect(await server.client().keys('holdfast:responses:default:*')).toEqual([])
  })

  it('that fail half-way end the connection, and nothing is stored', async () => {
    const { app } = appWith(
      (_req, res, next) => {
        res.write('half')
        setImmediate(() => next(new Error('no more')))
      },
      { redis },
    )
    app.use(((error, _req, res, next) =>
      res.headersSent ? next(error) : res.status(500).end()) as ErrorRequestHandler)
    app.set('env', 'test')
    const failure = await request(app)
      .get('/')
      .then(
        () => undefined,
        (error: Error) => error,
      )
    expect(failure).toMatchObject({ message: expect.stringMatching(/aborted|hang up|ECONNRESET/) })
    await eventually(() => outcomes.length > 0)
    expect(outcomes).toEqual([{ outcome: 'miss', stored: false, reason: 'aborted' }])
  })
})

describe('what Node can do with a response', () => {
  const ask = (app: Express) => raw(app, 'GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n')

  it.each<[string, RequestHandler]>([
    [
      'flushHeaders, then a body later',
      (_req, res) => {
        res.set('X-A', 'b').flushHeaders()
        setTimeout(() => res.end('body'), 20)
      },
    ],
    [
      'cork and several writes',
      (_req, res) => {
        res.set('X-A', 'b').cork()
        res.write('bo')
        res.write('dy')
        res.uncork()
        res.end()
      },
    ],
    ['setHeaders with a Map', (_req, res) => void res.setHeaders(new Map([['X-A', 'b']])).end('body')],
    ['appendHeader', (_req, res) => void res.appendHeader('X-A', 'b').end('body')],
    ['a reason of its own', (_req, res) => void res.writeHead(200, 'Very Fine', { 'X-A': 'b' }).end('body')],
  ])('%s', async (_name, handler) => {
    const { app, runs } = appWith(handler, { redis })
    const [miss, hit] = [await ask(app), await ask(app)]
    expect(miss).toMatch(
      /^HTTP\/1\.1 200 [\s\S]*X-A: b\r\n[\s\S]*X-Cache: MISS|^HTTP\/1\.1 200 [\s\S]*X-Cache: MISS[\s\S]*X-A: b\r\n/i,
    )
    expect(hit).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    expect(hit).toMatch(/X-A: b\r\n/i)
    expect(hit).toMatch(/X-Cache: HIT[\s\S]*\r\n\r\nbody$/)
    expect(runs()).toBe(1)
  })

  it('early hints and 102 go to the one who caused them', async () => {
    const { app } = appWith(
      (_req, res) => {
        res.writeProcessing()
        res.writeEarlyHints({ link: '</style.css>; rel=preload' })
        res.send('body')
      },
      { redis },
    )
    const [miss, hit] = [await ask(app), await ask(app)]
    expect(miss).toMatch(/^HTTP\/1\.1 102 [\s\S]*HTTP\/1\.1 103 [\s\S]*HTTP\/1\.1 200 [\s\S]*X-Cache: MISS/)
    expect(hit).toMatch(/^HTTP\/1\.1 200 OK\r\n[\s\S]*X-Cache: HIT[\s\S]*body$/)
    expect(hit).not.toContain('style.css')
  })

  it('trailers that are announced keep an answer out; those that are not are dropped', async () => {
    const announced = appWith(
      (_req, res) => {
        res.writeHead(200, { Trailer: 'X-Sum' }).write('body')
        res.addTrailers({ 'X-Sum': '1' })
        res.end()
      },
      { redis },
    )
    expect([await ask(announced.app), await ask(announced.app)].join()).not.toMatch(/X-Cache: HIT/)
    const silent = appWith(
      (_req, res) => {
        res.write('body')
        res.addTrailers({ 'X-Sum': '1' })
        res.end()
      },
      { redis, namespace: 'silent' },
    )
    expect(await ask(silent.app)).toMatch(/X-Sum: 1/)
    const hit = await ask(silent.app)
    expect(hit).toMatch(/X-Cache: HIT[\s\S]*\r\n\r\nbody$/)
    expect(hit).not.toMatch(/X-Sum/)
  })

  it('a handler’s own 304 or 206 is nothing to store', async () => {
    for (const status of [304, 206]) {
      const { app, runs } = appWith((_req, res) => void res.status(status).set('ETag', '"a"').end(), {
        ...{ redis, namespace: `s${status}` },
      })
      await request(app).get('/')
      await request(app).get('/')
      expect(runs()).toBe(2)
    }
  })

  it('a reason phrase does not outlive the status it was given for', async () => {
    const { app } = appWith(
      (_req, res) => {
        res.statusMessage = 'Very Fine'
        res.set('ETag', '"v1"').end('x')
      },
      { redis },
    )
    const known = await raw(
      app,
      'GET / HTTP/1.1\r\nHost: a.example\r\nIf-None-Match: "v1"\r\nConnection: close\r\n\r\n',
    )
    expect(known).toMatch(/^HTTP\/1\.1 304 Not Modified\r\n/)
  })

  it('sendFile: whole, in part, and validated', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'holdfast-file-'))
    const file = join(dir, 'file.txt')
    await writeFile(file, '0123456789')
    const { app, runs } = appWith((_req, res) => void res.sendFile(file, { dotfiles: 'allow' }), { redis })
    const { headers } = await same(app)
    expect(headers['content-type']).toMatch(/text\/plain/)
    const part = await request(app).get('/').set('Range', 'bytes=2-4')
    expect([part.status, part.text, part.headers['x-cache']]).toEqual([206, '234', 'HIT'])
    await request(app)
      .get('/')
      .set('If-None-Match', headers.etag as string)
      .expect(304)
    await request(app)
      .get('/')
      .set('If-Modified-Since', headers['last-modified'] as string)
      .expect(304)
    expect(runs()).toBe(1)
    await rm(dir, { recursive: true })
  })
})
