import { createServer as plainServer, type Server } from 'node:http'
import { type AddressInfo, connect, isIP } from 'node:net'
import { afterEach, describe, expect, it, jest } from '@jest/globals'
import express, { type Express, type RequestHandler } from 'express'
import request from 'supertest'
import { concurrency, type RateLimitOptions, rateLimit } from '../../src/rate-limit/index.js'
import type { RedisManager } from '../../src/redis/index.js'
import { type ResponseCacheOptions, responseCache } from '../../src/response-cache/index.js'
import { securityLog } from '../../src/security/index.js'
import { createServer } from '../../src/server/index.js'
import { eventually } from '../support/eventually.js'
import { useRedis } from '../support/use-redis.js'

let redis: RedisManager
useRedis((opened) => {
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
const aName = (): string => `attack-${++names}`
const cacheWith = (options: Partial<ResponseCacheOptions> = {}) =>
  responseCache({ redis, ttl: '1h', local: true, namespace: aName(), ...options })
const limitWith = (options: Partial<RateLimitOptions> = {}) =>
  rateLimit({ redis, name: aName(), limit: 2, window: '1h', user: false, ...options })
const from = (address: string) => ({ 'X-Forwarded-For': address })

interface World {
  readonly app: Express
  readonly server: Server
  /** Requests that Express has seen. */
  seen(): number
}

async function worldOf(front: readonly object[], ...stack: readonly RequestHandler[]): Promise<World> {
  const app = express().set('env', 'test')
  let seen = 0
  app.use((_req, _res, next) => {
    seen++
    next()
  })
  for (const each of stack) app.use(each)
  app.use((req, res) => void res.send(`handled ${req.path}`))
  return { app, server: await listening(createServer(app, { front })), seen: () => seen }
}

/** Asks until a copy in this process answers, then often enough to have it learned. */
async function warm({ server }: World, path = '/a', headers: Readonly<Record<string, string>> = {}): Promise<void> {
  await eventually(async () => (await request(server).get(path).set(headers)).headers['x-cache'] === 'HIT', {
    within: 10_000,
  })
  for (let i = 0; i < 4; i++) await request(server).get(path).set(headers)
}

describe('what a function of the application throws', () => {
  it('is an error of the request, and not of the process', async () => {
    const limit = limitWith({ limit: 100 })
    const { app, server } = await worldOf([limit], limit)
    app.set('trust proxy', (address: string) => {
      if (isIP(address) === 0) throw new Error('no address')
      return true
    })
    await request(server).get('/a').set(from('192.0.2.1, nonsense')).expect(500)
    await request(server).get('/a').set(from('192.0.2.1')).expect(200)
  })

  it('after a refusal was sent is nobody’s', async () => {
    const limit = limitWith({ limit: 1 })
    const { app, server } = await worldOf([limit], limit)
    let broken = false
    app.set('trust proxy', () => {
      if (broken) throw new Error('no list of proxies')
      return false
    })
    server.prependListener('request', (_req, res) => {
      broken = false
      res.prependListener('finish', () => {
        broken = true
      })
    })
    for (let i = 0; i < 3; i++)
      await request(server)
        .get('/a')
        .expect(i === 0 ? 200 : 429)
    // An error of the process would fail the test by now.
    await new Promise(setImmediate)
  })
})

describe('whom a limiter let pass uncounted', () => {
  it.each<[string, Partial<RateLimitOptions>]>([
    ['allowList', { allowList: ['192.0.2.9'] }],
    ['skip', { skip: (req) => req.ip === '192.0.2.9' }],
  ])('opens the route for nobody else: %s', async (_option, options) => {
    const cache = cacheWith()
    const world = await worldOf([cache], limitWith(options) as RequestHandler, cache)
    world.app.set('trust proxy', 1)
    await warm(world, '/a', from('192.0.2.9'))
    const statuses: number[] = []
    for (let i = 0; i < 4; i++) {
      const { status } = await request(world.server).get('/a').set(from('192.0.2.1'))
      statuses.push(status)
    }
    expect(statuses).toEqual([200, 200, 429, 429])
  })

  it('opens it for nobody on the deny list', async () => {
    const cache = cacheWith()
    const limit = limitWith({ allowList: ['192.0.2.9'], denyList: ['192.0.2.66'] })
    const world = await worldOf([cache], limit as RequestHandler, cache)
    world.app.set('trust proxy', 1)
    await warm(world, '/a', from('192.0.2.9'))
    await request(world.server).get('/a').set(from('192.0.2.66')).expect(403)
  })

  it('is seen again by a limit on requests at a time', async () => {
    const cache = cacheWith()
    const slots = concurrency({ redis, name: aName(), skip: (req) => req.headers['x-inside'] === '1' })
    const world = await worldOf([cache], slots, cache)
    await warm(world, '/a', { 'X-Inside': '1' })
    const before = world.seen()
    await request(world.server).get('/a').expect('RateLimit', /r=/)
    expect(world.seen()).toBe(before + 1)
  })
})

describe('the address of a caller', () => {
  it('is that which the application has defined for its requests', async () => {
    const limit = limitWith()
    const world = await worldOf([limit], limit)
    Object.defineProperty(world.app.request, 'ip', {
      configurable: true,
      get(this: { headers: Record<string, string> }) {
        return this.headers['client-ip']
      },
    })
    const as = (address: string) => request(world.server).get('/a').set('Client-IP', address)
    for (let i = 0; i < 6; i++) await as('127.0.0.1')
    await eventually(
      async () => {
        const before = world.seen()
        await as('127.0.0.1').expect(429)
        return world.seen() === before
      },
      { within: 10_000 },
    )
    await as('192.0.2.2').expect(200)
  })
})

describe('behind a security log that is in front', () => {
  const logOf = () => securityLog({ redis, sink: () => {}, enforce: ['honeypot'], honeypots: ['/trap'] })

  it('a trap is never answered without it', async () => {
    const security = logOf()
    const cache = cacheWith()
    const world = await worldOf([security, cache], security as RequestHandler, cache)
    world.app.set('trust proxy', 1)
    await warm(world, '/other', from('192.0.2.1'))
    // Each of them is blocked a moment later.
    let next = 2
    await eventually(
      async () =>
        (
          await request(world.server)
            .get('/trap')
            .set(from(`192.0.${next++}.1`))
        ).headers['x-cache'] === 'HIT',
      { within: 10_000 },
    )
    for (let i = 0; i < 5; i++) {
      const before = world.seen()
      await request(world.server)
        .get('/trap')
        .set(from(`198.51.${i}.1`))
      expect(world.seen()).toBe(before + 1)
    }
    await security.close()
  })

  it('what is not there is seen by it', async () => {
    const security = logOf()
    const cache = cacheWith({ ttl: undefined })
    const missing: RequestHandler = (_req, res) => void res.status(404).set('Cache-Control', 'max-age=3600').send('no')
    const world = await worldOf([security, cache], security as RequestHandler, cache, missing)
    await warm(world, '/.env')
    const before = world.seen()
    await request(world.server).get('/.env').expect(404).expect('X-Cache', 'HIT')
    expect(world.seen()).toBe(before + 1)
    await security.close()
  })
})

describe('a refusal', () => {
  it('is counted by the limiter that stands in front of the one that refuses', async () => {
    const outer = limitWith({ limit: 100 })
    const inner = limitWith({ limit: 1 })
    const { server } = await worldOf([outer, inner], outer, inner)
    for (let i = 0; i < 6; i++) await request(server).get('/a')
    expect((await outer.peek({ address: '127.0.0.1' })).tightest.used).toBe(6)
  })

  it('is told of once, whether or not it is known for the URL', async () => {
    const limit = limitWith({ limit: 1 })
    const { server } = await worldOf([limit], limit)
    let told = 0
    const off = redis.on('limit.decided', ({ limiter, outcome }) => {
      if (limiter === limit.limiterName && outcome === 'refused') told++
    })
    await request(server).get('/0').expect(200)
    for (let i = 0; i < 4; i++) await request(server).get(`/${i}`).expect(429)
    for (let i = 0; i < 4; i++) await request(server).get('/0').expect(429)
    off()
    expect(told).toBe(8)
  })
})

describe('a request that means to be taken for another', () => {
  const timeless = (answer: string): string =>
    answer
      .replace(/(Date|Age|Retry-After|X-RateLimit-Reset): .*/gi, '$1')
      .replace(/t(tl)?=\d+/g, 't=')
      .replace(/"retryAfter":\d+/g, '')

  /** As bytes, since clients correct what they send. */
  function exchange(server: Server, text: string): Promise<string> {
    // Not every one of them has its connection closed by its answer.
    server.keepAliveTimeout = 200
    return new Promise((resolve, reject) => {
      const socket = connect((server.address() as AddressInfo).port, '127.0.0.1', () => socket.write(text, 'latin1'))
      let answer = ''
      socket.on('data', (chunk) => {
        answer += chunk.toString('latin1')
      })
      socket.on('error', reject)
      socket.on('close', () => resolve(timeless(answer)))
    })
  }

  const get = (target: string, ...lines: readonly string[]): string =>
    [`GET ${target} HTTP/1.1`, 'Host: shop.example', ...lines, '', ''].join('\r\n')
  const last = get('/end', 'Connection: close')
  const attacks: readonly (readonly [what: string, text: string])[] = [
    ['an absolute target', get('http://evil.example/a', 'Connection: close')],
    ['an absolute target with its own host', get('http://shop.example/a', 'Connection: close')],
    ...['//a', '/a/', '/A', '/%61', '/./a', '/x/../a', '/a?', '/a#b', '/a;b', '/a%00', '/a\\b'].map(
      (target) => [`the target ${target}`, get(target, 'Connection: close')] as const,
    ),
    ['another host', `GET /a HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n`],
    ['two hosts', get('/a', 'Host: evil.example', 'Connection: close')],
    ['no host, as HTTP/1.0', 'GET /a HTTP/1.0\r\n\r\n'],
    ['HTTP/1.0 that is kept alive', 'GET /a HTTP/1.0\r\nHost: shop.example\r\n\r\n'],
    ['a body', `${get('/a', 'Content-Length: 5')}12345${last}`],
    ['a body in pieces', `${get('/a', 'Transfer-Encoding: chunked')}5\r\n12345\r\n0\r\n\r\n${last}`],
    ['a body that is a request', `${get('/a', `Content-Length: ${last.length}`)}${last}${last}`],
    ['two lengths', `${get('/a', 'Content-Length: 0', 'Content-Length: 5')}12345${last}`],
    ['a length and pieces', `${get('/a', 'Content-Length: 5', 'Transfer-Encoding: chunked')}0\r\n\r\n${last}`],
    ['an expectation', `${get('/a', 'Expect: 100-continue', 'Content-Length: 2')}ab${last}`],
    ['an upgrade', `${get('/a', 'Connection: Upgrade', 'Upgrade: h2c')}${last}`],
    ['many at once', `${get('/a')}${get('/b')}${get('/a', 'Range: bytes=0-2')}${get('/a')}${last}`],
    ['HEAD between others', `${get('/a')}${get('/a').replace('GET', 'HEAD')}${get('/a')}${last}`],
    ['duplicate conditions', get('/a', 'If-None-Match: "x"', 'If-None-Match: *', 'Connection: close')],
    ['duplicate ranges', get('/a', 'Range: bytes=0-1', 'Range: bytes=2-3', 'Connection: close')],
    ['duplicate forwarded hosts', get('/a', 'X-Forwarded-Host: a', 'X-Forwarded-Host: b', 'Connection: close')],
    ['another method by a header', get('/a', 'X-HTTP-Method-Override: DELETE', 'Connection: close')],
  ]

  it.each(attacks)('is answered as in Express: %s', async (_what, text) => {
    const cache = cacheWith()
    const path: RequestHandler = (req, res) => void res.send(`${req.method} ${req.hostname} ${req.url} ${req.ip}`)
    const world = await worldOf([cache], cache, path)
    for (const each of ['/a', '/b', '/end']) await warm(world, each, { Host: 'shop.example' })
    const plain = await listening(plainServer(world.app))
    let answers: readonly string[] = []
    // What is new is stored a moment after the first answer.
    await eventually(
      async () => {
        answers = [await exchange(world.server, text), await exchange(plain, text)]
        return answers[0] === answers[1]
      },
      { within: 10_000 },
    ).catch(() => expect(answers[0]).toBe(answers[1]))
  })

  it.each(attacks)('is refused as in Express: %s', async (_what, text) => {
    const limit = limitWith()
    const world = await worldOf([limit], limit)
    for (const path of ['/a', '/b', '/end']) {
      for (let i = 0; i < 4; i++) await request(world.server).get(path).set('Host', 'shop.example')
    }
    const plain = await listening(plainServer(world.app))
    expect(await exchange(world.server, text)).toBe(await exchange(plain, text))
  })

  it('fills no memory with what it says of its proxy', async () => {
    const cache = cacheWith()
    const world = await worldOf([cache], cache)
    const long = { 'X-Forwarded-Host': 'a'.repeat(4000) }
    await warm(world, '/a', long)
    const before = world.seen()
    await request(world.server).get('/a').set(long).expect('X-Cache', 'HIT')
    expect(world.seen()).toBe(before + 1)
  })
})

describe('mustRun', () => {
  it('is known where it comes from another build of this package', async () => {
    let other: typeof import('../../src/server/index.js') | undefined
    jest.isolateModules(() => {
      other = require('../../src/server/index')
    })
    const cache = cacheWith()
    const check = other?.mustRun((req, res, next) => {
      if (req.headers['x-api-key'] === 'right') next()
      else res.writeHead(401).end()
    })
    const world = await worldOf([cache], check as RequestHandler, cache)
    await warm(world, '/a', { 'X-Api-Key': 'right' })
    await request(world.server).get('/a').expect(401)
  })
})
