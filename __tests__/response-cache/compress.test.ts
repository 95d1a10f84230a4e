import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type IncomingHttpHeaders, request as open, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import zlib from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import compression from 'compression'
import type { Express, RequestHandler } from 'express'
import fc from 'fast-check'
import { decodeEntry, type Entry, encodeEntry } from '../../src/cache/entry.js'
import { createRedisManager, type RedisManager } from '../../src/redis/index.js'
import { acceptedEncodings } from '../../src/response-cache/encodings.js'
import { eventually } from '../support/eventually.js'
import type { RedisServer } from '../support/redis-server.js'
import { useRedis } from '../support/use-redis.js'
import { type AppOptions, appWith, warmUp } from './app.js'

let server: RedisServer
let redis: RedisManager
useRedis(async (own) => {
  server = own.server
  redis = own.redis
  await warmUp(redis)
})
const servers: Server[] = []
const ports = new WeakMap<Express, Promise<number>>()
let namespace = 0
beforeEach(async () => {
  namespace++
  await server.client().flushall()
})
afterEach(() => {
  jest.restoreAllMocks()
  for (const each of servers.splice(0)) {
    each.closeAllConnections()
    each.close()
  }
})

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

async function listen(app: Express): Promise<number> {
  const http = app.listen(0, '127.0.0.1')
  servers.push(http)
  await once(http, 'listening')
  return (http.address() as AddressInfo).port
}

/** The bytes as they were sent. */
async function ask(app: Express, headers: Record<string, string> = {}, method = 'GET'): Promise<Answer> {
  const listening = ports.get(app) ?? listen(app)
  ports.set(app, listening)
  const sent = open({ port: await listening, host: '127.0.0.1', headers, method, agent: false }).end()
  const [res] = await once(sent, 'response')
  const chunks: Buffer[] = []
  for await (const chunk of res) chunks.push(chunk)
  return { status: res.statusCode, headers: res.headers, body: Buffer.concat(chunks) }
}

const plain = 'Anchors, buoys and cleats. '.repeat(400)
const BR = { 'Accept-Encoding': 'gzip, deflate, br' }
const GZIP = { 'Accept-Encoding': 'gzip' }

function shop(options: Partial<AppOptions> = {}, handler?: RequestHandler) {
  const answer: RequestHandler = (_req, res) => void res.type('text').set('ETag', '"v1"').send(plain)
  return appWith(handler ?? answer, { redis, compress: true, tags: ['shop'], namespace: String(namespace), ...options })
}

/** Asks until the answer comes in that encoding. */
async function encoded(app: Express, encoding: 'br' | 'gzip', headers: Record<string, string> = {}): Promise<Answer> {
  let answer: Answer | undefined
  await eventually(async () => {
    answer = await ask(app, { 'Accept-Encoding': encoding, ...headers })
    return answer.headers['content-encoding'] === encoding
  })
  return answer as Answer
}

function textOf({ headers, body }: Answer): string {
  const encoding = headers['content-encoding']
  if (encoding === 'br') return zlib.brotliDecompressSync(body).toString()
  return (encoding === 'gzip' ? zlib.gunzipSync(body) : body).toString()
}

/** Everything in Redis that is an entry. */
async function entries(): Promise<{ readonly key: string; readonly entry: Entry }[]> {
  const client = server.client()
  const found: { key: string; entry: Entry }[] = []
  for (const key of await client.keys('*')) {
    if ((await client.type(key)) !== 'string') continue
    const entry = decodeEntry(await client.getBuffer(key).then((bytes) => bytes ?? Buffer.alloc(0)))
    if (entry !== undefined) found.push({ key, entry })
  }
  return found
}

async function divisions(): Promise<unknown[]> {
  return (await entries()).map(({ entry }) => JSON.parse(entry.metadata.toString()).head?.encodings)
}

/** Holds compressions back until `go`. */
function holdBrotli(): { readonly calls: () => number; readonly go: () => void } {
  const real = zlib.brotliCompress
  let go = (): void => {}
  const gate = new Promise<void>((resolve) => {
    go = resolve
  })
  const spy = jest.spyOn(zlib, 'brotliCompress').mockImplementation(((...given: Parameters<typeof real>) => {
    void gate.then(() => real(...given))
  }) as typeof real)
  return { calls: () => spy.mock.calls.length, go }
}

const brotlis = () => jest.spyOn(zlib, 'brotliCompress')

describe('which encodings an Accept-Encoding prefers', () => {
  it.each([
    ['', []],
    ['br', ['br']],
    ['gzip, deflate, br, zstd', ['br', 'gzip']],
    ['x-gzip', ['gzip']],
    ['GZIP;Q=0.5 , Br;q=0.1', ['gzip', 'br']],
    ['gzip;q=1.0, br;q=0', ['gzip']],
    ['*', ['br', 'gzip']],
    ['*;q=0', []],
    ['*;q=0.5, br;q=0', ['gzip']],
    ['identity', []],
    ['identity;q=0.5, gzip;q=0.4, br;q=0.5', ['br']],
    ['gzip, identity', ['gzip']],
    ['gzip;q=0, gzip', []],
    [', ,gzip,,', ['gzip']],
    ['gzip;q=2', []],
    ['gzip;q=', []],
    ['gzip;level=9', []],
    ['gzip br', []],
    ['__proto__, constructor;q=0.1', []],
  ])('%j: %j', (header, expected) => {
    expect(acceptedEncodings(header)).toEqual(expected)
  })

  it('throws for no text, and names only what is meant by it', () => {
    for (const long of [`gzip${', gzip'.repeat(1000)}`, ','.repeat(400)]) expect(acceptedEncodings(long)).toEqual([])
    fc.assert(
      fc.property(fc.string({ maxLength: 600 }), (header) => {
        const lower = header.toLowerCase()
        for (const each of acceptedEncodings(header)) expect(lower.includes(each) || lower.includes('*')).toBe(true)
      }),
    )
  })

  it('orders by weight, whatever the order of the list, and leaves out what is refused or liked less than the plain body', () => {
    const weight = fc.integer({ min: 0, max: 1000 }).map((thousandths) => thousandths / 1000)
    const weights = fc.dictionary(fc.constantFrom('br', 'gzip', 'identity', '*', 'zstd'), weight)
    fc.assert(
      fc.property(weights, fc.boolean(), (given, reversed) => {
        const items = Object.entries(given).map(([name, q]) => `${name};q=${q}`)
        const accepted = acceptedEncodings((reversed ? items.reverse() : items).join(', '))
        const q = (name: string): number => given[name] ?? given['*'] ?? 0
        expect([...accepted].sort()).toEqual(
          ['br', 'gzip'].filter((name) => q(name) > 0 && q(name) >= q('identity')).sort(),
        )
        const [first, second] = accepted
        if (first !== undefined && second !== undefined) expect(q(first)).toBeGreaterThanOrEqual(q(second))
      }),
    )
  })
})

describe('with compress', () => {
  it('the first hit is sent as it is stored, later ones in the encoding that was made of it', async () => {
    const { app, runs } = shop()
    const [miss, hit] = [await ask(app, BR), await ask(app, BR)]
    for (const { headers, body } of [miss, hit]) {
      expect([headers['content-encoding'], headers.vary, headers.etag]).toEqual([undefined, 'Accept-Encoding', '"v1"'])
      expect(body.toString()).toBe(plain)
    }
    const br = await encoded(app, 'br')
    expect(textOf(br)).toBe(plain)
    expect(br.headers).toMatchObject({
      'x-cache': 'HIT',
      'content-type': 'text/plain; charset=utf-8',
      'content-length': String(br.body.length),
      vary: 'Accept-Encoding',
      etag: 'W/"v1"',
    })
    expect(br.body.length).toBeLessThan(plain.length / 10)
    expect(textOf(await encoded(app, 'gzip'))).toBe(plain)
    expect(textOf(await ask(app))).toBe(plain)
    expect((await ask(app, { 'Accept-Encoding': 'br;q=0.2, gzip;q=0.3' })).headers['content-encoding']).toBe('gzip')
    expect((await ask(app, { 'Accept-Encoding': 'br;q=0.2, identity' })).headers['content-encoding']).toBeUndefined()
    expect(runs()).toBe(1)
  })

  it('is one entry, which lives no longer for it and goes with its tags', async () => {
    let text = plain
    const { app, cache } = shop({}, (_req, res) => void res.vary('Origin').type('text').send(text))
    await ask(app, BR)
    const [index] = (await entries()).filter(({ entry }) => entry.body.length === 0)
    await Promise.all([encoded(app, 'br'), encoded(app, 'gzip'), ask(app, { 'Accept-Encoding': 'zstd' }), ask(app)])
    await encoded(app, 'gzip')
    expect((await ask(app)).headers.vary).toBe('accept-encoding, origin')
    const all = await entries()
    // The names of what the handler varies by, and one answer to requests without an Origin.
    expect(all.map(({ key }) => key === index?.key).sort()).toEqual([false, true])
    const [answer] = all.filter(({ key }) => key !== index?.key)
    const life = await server.client().pttl(answer?.key as string)
    expect(life).toBeGreaterThan(40_000)
    expect(life).toBeLessThanOrEqual(60_000)

    text = `${plain}!`
    expect(await cache.invalidateTags('shop')).toBe(true)
    const after = await ask(app, BR)
    expect([after.headers['x-cache'], textOf(after)]).toEqual(['MISS', text])
    expect(textOf(await encoded(app, 'br'))).toBe(text)
    expect(await cache.invalidate('/')).toBe(true)
    expect((await ask(app, BR)).headers['x-cache']).toBe('MISS')
  })

  it('a hundred hits at once have each encoding made once', async () => {
    const [br, gzip] = [brotlis(), jest.spyOn(zlib, 'gzip')]
    const { app } = shop()
    await ask(app)
    await Promise.all(Array.from({ length: 100 }, () => ask(app, BR)))
    await encoded(app, 'br')
    await Promise.all(Array.from({ length: 100 }, () => ask(app, GZIP)))
    await encoded(app, 'gzip')
    await Promise.all(Array.from({ length: 20 }, (_, at) => ask(app, at % 2 === 0 ? BR : GZIP)))
    expect([br.mock.calls.length, gzip.mock.calls.length]).toEqual([1, 1])
  })

  it('another process is sent what one has made', async () => {
    const other = createRedisManager({ url: server.url, logger: false, commandTimeout: 2000 })
    try {
      const [here, there] = [shop(), shop({ redis: other })]
      await ask(here.app)
      await encoded(here.app, 'br')
      const spy = brotlis()
      await other.ready('10s')
      expect((await ask(there.app, BR)).headers['content-encoding']).toBe('br')
      expect(spy).not.toHaveBeenCalled()
    } finally {
      await other.close()
    }
  })

  it('copies in the processes are renewed, and hits of them ask nobody', async () => {
    const other = createRedisManager({ url: server.url, logger: false, commandTimeout: 2000 })
    const commands = async (): Promise<number> =>
      Number(/cmdstat_mget:calls=(\d+)/.exec(await server.client().info('commandstats'))?.[1] ?? 0)
    const silent = async (app: Express, headers = {}): Promise<Answer> => {
      let answer: Answer | undefined
      await eventually(async () => {
        await ask(app, headers)
        const before = await commands()
        answer = await ask(app, headers)
        return (await commands()) === before && answer.headers['x-cache'] === 'HIT'
      })
      return answer as Answer
    }
    try {
      await other.ready('10s')
      const [here, there] = [shop({ local: true }), shop({ local: true, redis: other })]
      await silent(here.app)
      await silent(there.app)
      await encoded(here.app, 'br')
      jest.spyOn(zlib, 'brotliCompress').mockImplementation(() => {
        throw new Error('compressed again')
      })
      expect(textOf(await encoded(there.app, 'br'))).toBe(plain)
      for (const { app } of [here, there]) expect((await silent(app, BR)).headers['content-encoding']).toBe('br')
      expect((await silent(there.app)).body.toString()).toBe(plain)
    } finally {
      await other.close()
    }
  })

  it('what is made of a body is thrown away where another has taken its place meanwhile', async () => {
    let text = plain
    const { app, cache } = shop({}, (_req, res) => void res.type('text').set('ETag', '"same"').send(text))
    await ask(app)
    const held = holdBrotli()
    await ask(app, BR)
    await eventually(() => held.calls() === 1)
    text = plain.toUpperCase()
    await cache.invalidateTags('shop')
    expect(textOf(await ask(app, BR))).toBe(text)
    const before = await entries()
    held.go()
    // It may be tried again only once the first attempt is over.
    await eventually(async () => {
      expect(textOf(await ask(app, BR))).toBe(text)
      return held.calls() === 2
    })
    expect(before).toHaveLength(1)
    expect(textOf(await encoded(app, 'br'))).toBe(text)
    expect(await divisions()).toHaveLength(1)
  })

  it('of two that make an encoding at the same time one keeps it', async () => {
    const { app } = shop()
    await ask(app)
    const [before] = (await entries()) as [{ key: string; entry: Entry }]
    await encoded(app, 'br')
    const [after] = (await entries()) as [{ key: string; entry: Entry }]
    const held = holdBrotli()
    await server.client().set(before.key, encodeEntry(before.entry), 'PX', 60_000)
    await ask(app, BR)
    await eventually(() => held.calls() === 1)
    await server.client().set(after.key, encodeEntry(after.entry), 'PX', 60_000)
    held.go()
    // Its turn is over once another encoding is made.
    await encoded(app, 'gzip')
    const { encodings } = JSON.parse((await entries())[0]?.entry.metadata.toString() ?? '').head
    expect(encodings.map(([name]: [string]) => name)).toEqual(['identity', 'br', 'gzip'])
    expect(textOf(await encoded(app, 'br'))).toBe(plain)
  })

  it('an entry that differs in nothing but what its head says is another', async () => {
    const { app } = shop()
    await ask(app)
    const [{ key, entry }] = (await entries()) as [{ key: string; entry: Entry }]
    const held = holdBrotli()
    await ask(app, BR)
    await eventually(() => held.calls() === 1)
    const metadata = Buffer.from(entry.metadata.toString().replace('v1', 'v2'))
    const other = encodeEntry({ ...entry, metadata, body: Buffer.from(plain.toUpperCase()) })
    await server.client().set(key, other, 'PX', 60_000)
    held.go()
    for (const encoding of ['gzip', 'br'] as const) {
      const answer = await encoded(app, encoding)
      expect([answer.headers.etag, textOf(answer)]).toEqual(['W/"v2"', plain.toUpperCase()])
    }
  })

  it('HEAD is told of the same answer as GET', async () => {
    const { app } = shop()
    await ask(app)
    const get = await encoded(app, 'br')
    const head = await ask(app, BR, 'HEAD')
    const { date, age, 'cache-status': status, connection, ...lasting } = get.headers
    expect(head.headers).toMatchObject(lasting)
    expect(head.body).toHaveLength(0)
  })

  it('ranges are parts of the plain body, and a validator of several encodings joins no parts', async () => {
    const modified = new Date(Date.now() - 1e8).toUTCString()
    const { app } = shop({}, (_req, res) => {
      res.type('text').set({ ETag: '"v1"', 'Last-Modified': modified, 'Accept-Ranges': 'bytes' }).send(plain)
    })
    await ask(app)
    expect((await encoded(app, 'br')).headers['accept-ranges']).toBeUndefined()
    const part = await ask(app, { ...BR, Range: 'bytes=9-13' })
    expect([part.status, part.body.toString(), part.headers['content-range']]).toEqual([
      206,
      plain.slice(9, 14),
      `bytes 9-13/${plain.length}`,
    ])
    expect([part.headers['content-encoding'], part.headers.etag]).toEqual([undefined, '"v1"'])
    const range = { ...BR, Range: 'bytes=9-13' }
    for (const [condition, status] of [
      ['"v1"', 206],
      ['W/"v1"', 200],
      [modified, 200],
    ] as const) {
      const answer = await ask(app, { ...range, 'If-Range': condition })
      expect([answer.status, answer.headers['content-encoding']]).toEqual([status, undefined])
    }
  })

  it('304 names the validator of the encoding that would have been sent', async () => {
    const { app } = shop()
    await ask(app)
    await encoded(app, 'br')
    for (const known of ['"v1"', 'W/"v1"']) {
      const { status, headers, body } = await ask(app, { ...BR, 'If-None-Match': known })
      expect([status, headers.etag, headers.vary, body.length]).toEqual([304, 'W/"v1"', 'Accept-Encoding', 0])
      expect(headers['content-encoding']).toBeUndefined()
      expect((await ask(app, { 'If-None-Match': known })).headers.etag).toBe('"v1"')
    }
  })

  it('a handler that confirms what is stored leaves one entry, of which encodings are made anew', async () => {
    const { app } = shop({ ttl: undefined }, (req, res) => {
      res.set({ 'Cache-Control': 'max-age=60', ETag: '"v1"' }).type('text')
      if (req.headers['if-none-match'] === '"v1"') res.status(304).end()
      else res.send(plain)
    })
    await ask(app)
    await encoded(app, 'br')
    const confirmed = await ask(app, { ...BR, 'Cache-Control': 'no-cache' })
    expect([confirmed.headers['x-cache'], confirmed.headers.vary, textOf(confirmed)]).toEqual([
      'REVALIDATED',
      'Accept-Encoding',
      plain,
    ])
    await eventually(async () => JSON.stringify(await divisions()) === `[[["identity",${plain.length}]]]`)
    expect(textOf(await encoded(app, 'br'))).toBe(plain)
    expect(await entries()).toHaveLength(1)
  })

  it.each<[string, RequestHandler]>([
    ['no-transform', (_req, res) => void res.set('Cache-Control', 'public, no-transform').type('text').send(plain)],
    ['short', (_req, res) => void res.type('text').send('x'.repeat(1023))],
    ['an image', (_req, res) => void res.type('png').send(Buffer.from(plain))],
    ['of no type', (_req, res) => void res.end(plain)],
    ['digested', (_req, res) => void res.set('Repr-Digest', 'sha-256=:AA==:').type('text').send(plain)],
    ['another status', (_req, res) => void res.status(203).type('text').send(plain)],
  ])('an answer that is %s stays as it is', async (_name, handler) => {
    const spy = brotlis()
    const { app } = shop({}, handler)
    for (let time = 0; time < 4; time++) {
      const { headers } = await ask(app, BR)
      expect([headers['x-cache'], headers.vary, headers['content-encoding']]).toEqual([
        time === 0 ? 'MISS' : 'HIT',
        undefined,
        undefined,
      ])
    }
    expect(spy).not.toHaveBeenCalled()
    expect(await divisions()).toEqual([undefined])
  })

  it('handlers that see to encodings themselves are left to it', async () => {
    const spy = brotlis()
    const { app, runs } = shop({}, (req, res) => {
      res.type('text').vary('Accept-Encoding')
      if (req.headers['accept-encoding'] !== 'gzip') return void res.send(plain)
      res.set('Content-Encoding', 'gzip').send(zlib.gzipSync(plain))
    })
    for (const headers of [BR, BR, GZIP, GZIP]) expect(textOf(await ask(app, headers))).toBe(plain)
    expect(runs()).toBe(2)
    expect(spy).not.toHaveBeenCalled()
  })

  it('what does not become shorter is tried once, by whichever process', async () => {
    const noise = randomBytes(5000)
    const spy = brotlis()
    const { app } = shop({}, (_req, res) => void res.type('text').send(noise))
    await ask(app)
    await ask(app, { 'Accept-Encoding': 'br' })
    await eventually(async () => JSON.stringify(await divisions()) === '[[["identity",5000],["br",0]]]')
    for (let time = 0; time < 3; time++) {
      const { headers, body } = await ask(app, { 'Accept-Encoding': 'br' })
      expect([headers['x-cache'], headers['content-encoding'], body.equals(noise)]).toEqual(['HIT', undefined, true])
    }
    expect(spy).toHaveBeenCalledTimes(1)
  })

  it('a hostile Accept-Encoding is given the plain body', async () => {
    const { app } = shop()
    await ask(app)
    await encoded(app, 'br')
    for (const header of [','.repeat(8000), `br${',br'.repeat(2000)}`, '__proto__', 'br;q=1e3', 'toString, *;q=0']) {
      const answer = await ask(app, { 'Accept-Encoding': header })
      expect([answer.status, answer.headers['content-encoding'], textOf(answer)]).toEqual([200, undefined, plain])
    }
  })

  it.each<[string, (sizes: { plain: number; br: number }) => unknown]>([
    [
      'too few bytes',
      ({ plain, br }) => [
        ['identity', plain],
        ['br', br - 1],
      ],
    ],
    [
      'too many',
      ({ plain, br }) => [
        ['identity', plain],
        ['br', br + 1],
      ],
    ],
    [
      'negative ones',
      ({ plain, br }) => [
        ['identity', plain + br + 1],
        ['br', -1],
      ],
    ],
    ['nothing', () => []],
    [
      'no plain body',
      ({ plain, br }) => [
        ['__proto__', plain],
        ['br', br],
      ],
    ],
    [
      'what is no header',
      ({ plain, br }) => [
        ['identity', plain],
        ['br\r\nX: y', br],
      ],
    ],
    ['text', () => 'br'],
    ['null', () => [null]],
  ])('an entry whose parts are %s is a miss', async (_name, corrupt) => {
    const problems: unknown[] = []
    const off = redis.on('data.corrupt', (event) => problems.push(event))
    const { app } = shop()
    await ask(app)
    const br = (await encoded(app, 'br')).body.length
    const [{ key, entry }] = (await entries()) as [{ key: string; entry: Entry }]
    const stored = JSON.parse(entry.metadata.toString())
    stored.head.encodings = corrupt({ plain: plain.length, br })
    const frame = encodeEntry({ ...entry, metadata: Buffer.from(JSON.stringify(stored)) })
    await server.client().set(key, frame, 'PX', 60_000)
    const answer = await ask(app, BR)
    expect([answer.headers['x-cache'], textOf(answer)]).toEqual(['MISS', plain])
    expect(problems).toMatchObject([{ feature: 'responses' }])
    await server.client().set(key, encodeEntry(entry).subarray(0, -1), 'PX', 60_000)
    expect((await ask(app, BR)).headers['x-cache']).toBe('MISS')
    off()
  })

  describe.each([4, 5] as const)('beside compression() on Express %i', (version) => {
    it('mounted before, the stored bytes pass untouched', async () => {
      const { app } = shop({ version, before: [compression() as RequestHandler] })
      expect((await ask(app, BR)).headers['content-encoding']).toBe('br')
      await ask(app, BR)
      await eventually(async () => JSON.stringify(await divisions()).includes('"br"'))
      const { headers, body } = await ask(app, BR)
      expect([headers['x-cache'], headers['content-encoding'], headers.vary]).toEqual(['HIT', 'br', 'Accept-Encoding'])
      expect(headers['content-length']).toBe(String(body.length))
      expect(zlib.brotliDecompressSync(body).toString()).toBe(plain)
    })

    it('mounted behind, it goes on as without', async () => {
      const spy = brotlis()
      const { app } = shop({ version, after: [compression() as RequestHandler] })
      for (const headers of [BR, BR, GZIP, GZIP]) {
        const answer = await ask(app, headers)
        expect([answer.headers['content-encoding'], textOf(answer)]).toEqual([headers === BR ? 'br' : 'gzip', plain])
      }
      expect(spy).not.toHaveBeenCalled()
    })
  })

  it('without the option what others have made is left alone', async () => {
    const { app } = shop()
    await ask(app)
    await encoded(app, 'br')
    const { app: without } = shop({ compress: false })
    const { headers, body } = await ask(without, BR)
    expect([headers['x-cache'], headers['content-encoding'], headers.vary]).toEqual([
      'HIT',
      undefined,
      'Accept-Encoding',
    ])
    expect(body.toString()).toBe(plain)
  })
})

describe('while Redis is away', () => {
  it('what was being made is lost, and made again once Redis is back', async () => {
    const own = createRedisManager({ url: server.url, logger: false })
    try {
      await own.ready('10s')
      const { app } = shop({ redis: own })
      await eventually(async () => (await ask(app)).headers['x-cache'] === 'HIT')
      const held = holdBrotli()
      await ask(app, BR)
      await eventually(() => held.calls() === 1)
      server.pause()
      held.go()
      for (let time = 0; time < 20; time++) {
        const answer = await ask(app, BR)
        expect([answer.status, answer.headers['x-cache'], textOf(answer)]).toEqual([200, 'BYPASS', plain])
      }
      expect(held.calls()).toBe(1)
      server.resume()
      expect(textOf(await encoded(app, 'br'))).toBe(plain)
    } finally {
      server.resume()
      await own.close()
    }
  })

  it('nothing is left of what was being made when the manager closes', async () => {
    const own = createRedisManager({ url: server.url, logger: false, commandTimeout: 2000 })
    await own.ready('10s')
    const { app } = shop({ redis: own })
    await eventually(async () => (await ask(app)).headers['x-cache'] === 'HIT')
    const held = holdBrotli()
    await ask(app, BR)
    await eventually(() => held.calls() === 1)
    await own.close()
    held.go()
    const { status, headers } = await ask(app, BR)
    expect([status, headers['x-cache']]).toEqual([200, 'BYPASS'])
    expect(await divisions()).toEqual([[['identity', plain.length]]])
  })
})
