import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import compression from 'compression'
import express, { type RequestHandler } from 'express'
import request from 'supertest'
import { createRedisManager, type RedisManager } from '../../src/redis/index.js'
import { responseCache } from '../../src/response-cache/index.js'
import { eventually } from '../support/eventually.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { appWith, raw, warmUp } from './app.js'

let server: RedisServer
let redis: RedisManager

beforeAll(async () => {
  server = await startRedis()
  redis = createRedisManager({ url: server.url, logger: false, commandTimeout: '10s' })
  await redis.ready('10s')
  await warmUp(redis)
})
afterAll(async () => {
  await redis.close()
  await server.stop()
})
beforeEach(() => server.client().flushall())

const letters: RequestHandler = (_req, res) => void res.set('ETag', '"v1"').type('text').send('0123456789')

describe('ranges of a stored response', () => {
  it.each([
    ['bytes=0-1', 206, '01', 'bytes 0-1/10'],
    ['bytes=8-', 206, '89', 'bytes 8-9/10'],
    ['bytes=-3', 206, '789', 'bytes 7-9/10'],
    ['bytes=-30', 206, '0123456789', 'bytes 0-9/10'],
    ['bytes=5-500', 206, '56789', 'bytes 5-9/10'],
    ['bytes=10-', 416, '', 'bytes */10'],
    ['bytes=-0', 416, '', 'bytes */10'],
    ['bytes=0-1,3-4', 200, '0123456789', undefined],
    ['bytes=4-2', 200, '0123456789', undefined],
    ['lines=0-1', 200, '0123456789', undefined],
    ['bytes=a-b', 200, '0123456789', undefined],
  ])('%s is %i', async (range, status, text, contentRange) => {
    const { app, runs } = appWith(letters, { redis })
    await request(app).get('/')
    // The first script of its kind that a server runs has to be sent to it twice: a request may come in between.
    await eventually(() => request(app).get('/').set('Cache-Control', 'only-if-cached').expect(200), { within: 10_000 })
    const part = await request(app).get('/').set('Range', range)
    expect([part.status, part.text, part.headers['content-range'], part.headers['x-cache']]).toEqual([
      ...[status, text, contentRange, 'HIT'],
    ])
    expect(part.headers['content-length']).toBe(String(text.length))
    expect(runs()).toBe(1)
  })

  it.each([
    ['"v1"', 206],
    ['"v2"', 200],
    ['W/"v1"', 200],
    ['Tue, 01 Jan 2030 00:00:00 GMT', 200],
  ])('with If-Range: %s is %i', async (condition, status) => {
    const { app } = appWith(letters, { redis })
    await request(app).get('/')
    await request(app).get('/').set({ Range: 'bytes=0-1', 'If-Range': condition }).expect(status)
  })
})

describe('methods that change the resource', () => {
  const shop: RequestHandler = (req, res) => {
    if (req.method === 'GET') return void res.send('x')
    if (req.query.to !== undefined) res.location(String(req.query.to))
    res.status(Number(req.query.status ?? 200)).end()
  }
  const stateOf = async (app: express.Express, path: string) => (await request(app).get(path)).headers['x-cache']

  it.each(['post', 'put', 'delete', 'patch'] as const)('%s makes its target outdated', async (method) => {
    const { app } = appWith(shop, { redis })
    await request(app).get('/a')
    await request(app)[method]('/a').expect(200)
    expect(await stateOf(app, '/a')).toBe('MISS')
  })

  it.each([
    ['/b', 'MISS'],
    ['b', 'MISS'],
    ['https://elsewhere.example/b', 'HIT'],
    ['http://[', 'HIT'],
  ])('and what Location: %s names, if it is ours', async (to, state) => {
    const { app } = appWith(shop, { redis })
    await request(app).get('/b')
    await request(app).post(`/a?to=${encodeURIComponent(to)}&status=201`)
    expect(await stateOf(app, '/b')).toBe(state)
  })

  it.each([400, 403, 404, 500])('but not where the answer is %i', async (status) => {
    const { app } = appWith(shop, { redis })
    await request(app).get('/a')
    await request(app).post(`/a?status=${status}`)
    expect(await stateOf(app, '/a')).toBe('HIT')
  })

  it('are answered after the invalidation, never before it', async () => {
    const { app } = appWith(shop, { redis })
    for (let round = 0; round < 20; round++) {
      await request(app).get('/a')
      await request(app).post('/a')
      expect(await stateOf(app, '/a')).toBe('MISS')
    }
  })
})

describe('labels that a response gives itself', () => {
  it.each([
    ['Surrogate-Key', 'products product:1'],
    ['Cache-Tag', 'products,product:1'],
  ])('%s: invalidated by, and removed on the way out', async (name, value) => {
    const { app, cache } = appWith((_req, res) => void res.set(name, value).send('x'), { redis })
    const first = await request(app).get('/')
    const second = await request(app).get('/')
    expect([first, second].map(({ headers }) => [headers['x-cache'], headers[name.toLowerCase()]])).toEqual([
      ['MISS', undefined],
      ['HIT', undefined],
    ])
    expect(await cache.invalidateTags('product:1')).toBe(true)
    expect((await request(app).get('/')).headers['x-cache']).toBe('MISS')
  })
})

describe('labels and directives for caches, on the way out', () => {
  const LABELS = { 'Surrogate-Key': 'a b', 'Cache-Tag': 'c' }
  const AIMED = { 'CDN-Cache-Control': 'max-age=5', 'Surrogate-Control': 'max-age=6' }
  const ways: [string, RequestHandler][] = [
    ['set', (_req, res) => void res.set({ ...LABELS, ...AIMED }).send('x')],
    ['written with the head', (_req, res) => void res.writeHead(200, { ...LABELS, ...AIMED, 'X-A': 'b' }).end('x')],
    [
      'written as a list',
      (_req, res) => void res.writeHead(200, 'Fine', Object.entries({ ...LABELS, ...AIMED }).flat()).end('x'),
    ],
    [
      'flushed early',
      (_req, res) =>
        void res
          .set({ ...LABELS, ...AIMED })
          .writeHead(200)
          .end('x'),
    ],
  ]
  const passing: [string, Record<string, string>, 'get' | 'post'][] = [
    ['MISS', {}, 'get'],
    ['HIT', {}, 'get'],
    ['MISS', { 'Cache-Control': 'no-cache' }, 'get'],
    ['BYPASS', { 'Cache-Control': 'no-store' }, 'get'],
    ['BYPASS', { Authorization: 'x' }, 'get'],
    ['BYPASS', {}, 'post'],
  ]
  it.each(ways)('%s: labels are removed from every answer, what is aimed at caches stays', async (_name, handler) => {
    const { app } = appWith(handler, { redis })
    for (const [state, headers, method] of passing) {
      const answer = await request(app)[method]('/').set(headers)
      expect(answer.headers['x-cache']).toBe(state)
      for (const name of Object.keys(LABELS)) expect(answer.headers[name.toLowerCase()]).toBeUndefined()
      for (const [name, value] of Object.entries(AIMED)) expect(answer.headers[name.toLowerCase()]).toBe(value)
    }
  })

  it('labels are removed from what is refused, revalidated, conditional, and where Redis is away', async () => {
    const answers: Record<string, request.Response> = {}
    const refused = appWith((_req, res) => void res.set(LABELS).cookie('a', 'b').send('x'), { redis })
    answers.refused = await request(refused.app).get('/')
    const conditional = appWith((_req, res) => void res.set({ ...LABELS, ETag: '"v"' }).send('x'), { redis })
    answers.conditional = await request(conditional.app).get('/c').set('If-None-Match', '"v"')
    const validated = appWith(
      (_req, res) => void res.set({ ...LABELS, ETag: '"v"', 'Cache-Control': 'no-cache' }).send('x'),
      { redis, ttl: undefined },
    )
    await request(validated.app).get('/v')
    answers.validated = await request(validated.app).get('/v')
    const away = createRedisManager({ url: 'redis://127.0.0.1:1', logger: false })
    const gone = appWith((_req, res) => void res.set(LABELS).send('x'), { redis: away })
    answers.away = await request(gone.app).get('/')
    await away.close()
    const off = appWith((_req, res) => void res.set(LABELS).send('x'), { redis, env: { CACHE_DISABLED: '1' } })
    answers.off = await request(off.app).get('/')
    for (const { headers } of Object.values(answers)) {
      expect([headers['surrogate-key'], headers['cache-tag']]).toEqual([undefined, undefined])
    }
    expect(Object.values(answers).map(({ headers }) => headers['x-cache'])).toEqual([
      ...['MISS', 'MISS', 'REVALIDATED', 'BYPASS', 'BYPASS'],
    ])
  })

  it('CDN-Cache-Control decides before Surrogate-Control, and both before Cache-Control', async () => {
    const standard = async (headers: Record<string, string>) => {
      const { app } = appWith((_req, res) => void res.set(headers).send('x'), { redis, ttl: undefined })
      await server.client().flushall()
      await request(app).get('/')
      return (await request(app).get('/')).headers['x-cache']
    }
    const none = { 'Cache-Control': 'no-store' }
    expect(await standard({ 'CDN-Cache-Control': 'max-age=60', ...none })).toBe('HIT')
    expect(await standard({ 'Surrogate-Control': 'max-age=60', ...none })).toBe('HIT')
    expect(await standard({ 'CDN-Cache-Control': 'no-store', 'Surrogate-Control': 'max-age=60' })).toBe('MISS')
    expect(await standard({ 'CDN-Cache-Control': 'no-store', 'Cache-Control': 'max-age=60' })).toBe('MISS')
    expect(await standard({ 'CDN-Cache-Control': '', 'Cache-Control': 'max-age=60' })).toBe('HIT')
  })
})

describe('headers that say how it went', () => {
  it('name the reason (RFC 9211)', async () => {
    const { app } = appWith(
      (req, res) => {
        if (req.path === '/private') res.set('Cache-Control', 'private')
        if (req.path === '/vary') res.vary('Accept-Language')
        res.send('x')
      },
      { redis },
    )
    const status = async (path: string, headers: Record<string, string> = {}) =>
      (await request(app).get(path).set(headers)).headers['cache-status']
    expect(await status('/')).toBe('holdfast; fwd=uri-miss; stored')
    expect(await status('/')).toMatch(/^holdfast; hit; ttl=(59|60)$/)
    expect(await status('/', { 'Cache-Control': 'no-cache' })).toMatch(/^holdfast; fwd=request/)
    expect(await status('/private')).toBe('holdfast; fwd=uri-miss; detail=private')
    expect(await status('/', { Authorization: 'x' })).toBe('holdfast; fwd=bypass; detail=authorization')
    await status('/vary', { 'Accept-Language': 'de' })
    expect(await status('/vary', { 'Accept-Language': 'en' })).toBe('holdfast; fwd=vary-miss; stored')
    expect((await request(app).post('/')).headers['cache-status']).toBe('holdfast; fwd=method; detail=method')
    expect((await request(app).get('/new').set('Cache-Control', 'only-if-cached')).status).toBe(504)
  })

  it('follow what a cache behind this one says', async () => {
    const { app } = appWith((_req, res) => void res.set('X', 'y').send('x'), {
      redis,
      before: [(_req, res, next) => next(void res.set('Cache-Status', 'cdn; hit'))],
    })
    expect((await request(app).get('/')).headers['cache-status']).toBe('cdn; hit, holdfast; fwd=uri-miss; stored')
  })

  it('are each left out on request', async () => {
    const { app } = appWith((_req, res) => void res.send('x'), {
      redis,
      headers: { xCache: false, age: false, cacheStatus: false },
    })
    await request(app).get('/')
    const { headers } = await request(app).get('/')
    expect([headers['x-cache'], headers.age, headers['cache-status']]).toEqual([undefined, undefined, undefined])
  })
})

describe('the word of the route', () => {
  it('stands above no-store, private and no-cache where it overrides them, and never above Set-Cookie', async () => {
    for (const value of ['no-store', 'private', 'no-cache']) {
      const { app } = appWith((_req, res) => void res.set('Cache-Control', value).send('x'), {
        ...{ redis, override: true, namespace: value },
      })
      await request(app).get('/')
      expect((await request(app).get('/')).headers['x-cache']).toBe('HIT')
    }
    const { app } = appWith((_req, res) => void res.cookie('a', 'b').send('x'), { redis, override: true })
    await request(app).get('/')
    expect((await request(app).get('/')).headers['x-cache']).toBe('MISS')
  })
})

describe('beside others', () => {
  it('express.static and its validators', async () => {
    const app = express()
      .use(responseCache({ redis, ttl: '60s' }) as RequestHandler)
      .use(express.static(__dirname))
    const first = await request(app).get('/http.test.ts')
    const second = await request(app).get('/http.test.ts')
    expect([second.headers['x-cache'], second.text]).toEqual(['HIT', first.text])
    await request(app)
      .get('/http.test.ts')
      .set('If-None-Match', first.headers.etag as string)
      .expect(304)
  })

  it('a gateway to another server, in pieces', async () => {
    const origin = createServer((_req, res) => {
      res.writeHead(200, ['Link', '<a>', 'Link', '<b>', 'Cache-Control', 'max-age=60'])
      res.write('one ')
      setTimeout(() => res.end('two'), 20)
    }).listen(0, '127.0.0.1')
    await once(origin, 'listening')
    const { port } = origin.address() as AddressInfo
    const gateway: RequestHandler = async (_req, res) => {
      const answer = await fetch(`http://127.0.0.1:${port}`)
      res.type('text').setHeader('Link', answer.headers.get('link') ?? '')
      for await (const chunk of answer.body ?? []) res.write(chunk)
      res.end()
    }
    const { app } = appWith(gateway, { redis })
    await request(app).get('/').buffer(true)
    const second = await request(app).get('/').buffer(true)
    expect([second.headers['x-cache'], second.headers.link, second.text]).toEqual(['HIT', '<a>, <b>', 'one two'])
    origin.close()
  })

  it('HTTP/1.0', async () => {
    const { app } = appWith((_req, res) => void res.writeHead(200, {}).end('ab'), { redis })
    const ask = () => raw(app, 'GET / HTTP/1.0\r\nHost: shop.example\r\n\r\n')
    const [first, second] = [await ask(), await ask()]
    expect(first).toMatch(/X-Cache: MISS[\s\S]*\r\n\r\nab$/)
    expect(second).toMatch(/X-Cache: HIT[\s\S]*Content-Length: 2[\s\S]*\r\n\r\nab$/)
    expect(second).not.toMatch(/transfer-encoding/i)
  })

  it('pipelined requests, answered in order on one connection', async () => {
    const { app } = appWith((req, res) => void setTimeout(() => res.send(req.path), req.path === '/1' ? 60 : 0), {
      redis,
    })
    const http = app.listen(0, '127.0.0.1')
    await once(http, 'listening')
    const socket = connect((http.address() as AddressInfo).port, '127.0.0.1')
    const line = (path: string, end = '') => `GET ${path} HTTP/1.1\r\nHost: a.example\r\n${end}\r\n`
    socket.write(line('/1') + line('/2') + line('/1') + line('/2', 'Connection: close\r\n'))
    let answer = ''
    for await (const chunk of socket) answer += chunk
    expect(answer.match(/\r\n\r\n\/\d/g)?.map((each) => each.trim())).toEqual(['/1', '/2', '/1', '/2'])
    expect(answer.match(/X-Cache: (HIT|MISS)/g)).toHaveLength(4)
    http.close()
  })

  it('compression mounted before the cache, with a validated response', async () => {
    const text = 'compressible '.repeat(500)
    const { app } = appWith(
      (_req, res) => void res.set({ ETag: '"v1"', 'Cache-Control': 'no-cache' }).type('text').send(text),
      {
        ...{ redis, ttl: undefined, before: [compression() as RequestHandler] },
      },
    )
    await request(app).get('/')
    const second = await request(app).get('/').set('Accept-Encoding', 'gzip')
    expect([second.headers['x-cache'], second.headers['content-encoding'], second.text]).toEqual([
      ...['REVALIDATED', 'gzip', text],
    ])
  })
})
