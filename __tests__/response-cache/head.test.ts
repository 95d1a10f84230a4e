import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import type { Express, RequestHandler } from 'express'
import request from 'supertest'
import type { RedisManager } from '../../src/redis/index.js'
import { compareHead } from '../../src/response-cache/head-update.js'
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
beforeEach(() => server.client().flushall())
afterEach(() => void jest.restoreAllMocks())

describe('what an answer to HEAD says of the stored one (RFC 9111 §4.3.5)', () => {
  const stored = {
    head: { status: 200, headers: [['ETag', '"v1"']] as const, ownEtag: false },
    body: Buffer.alloc(5),
  } as never
  it.each([
    [[['ETag', '"v1"']], 200, 'same'],
    [[['ETag', '"v2"']], 200, 'other'],
    [[['ETag', 'W/"v1"']], 200, 'other'],
    [
      [
        ['ETag', '"v1"'],
        ['Content-Length', '5'],
      ],
      200,
      'same',
    ],
    [[['Content-Length', '6']], 200, 'other'],
    [[['Content-Length', '5']], 200, 'silent'],
    [
      [
        ['Content-Length', '9'],
        ['Content-Encoding', 'gzip'],
      ],
      200,
      'silent',
    ],
    [[['Last-Modified', 'Thu, 01 Jan 1970 00:00:00 GMT']], 200, 'silent'],
    [[], 200, 'silent'],
    [[['ETag', '"v2"']], 304, 'silent'],
    [[['ETag', '"v2"']], 500, 'silent'],
  ] as [[string, string][], number, string][])('%j with status %i: %s', (headers, status, verdict) => {
    expect(compareHead(stored, { status, headers })).toBe(verdict)
  })
})

describe('a HEAD that reaches the handler', () => {
  const versioned: RequestHandler = (req, res) => {
    const { version, note } = req.app.locals as { version: number; note: string }
    res.set({ ETag: `"v${version}"`, 'Cache-Control': 'max-age=60', 'X-Note': note }).send(`body ${version}`)
  }
  const shop = (options: Partial<AppOptions> = {}): Express => {
    const { app } = appWith(versioned, { redis, ttl: undefined, ...options })
    Object.assign(app.locals, { version: 1, note: 'first' })
    return app
  }
  const get = (app: Express) => request(app).get('/')
  const head = (app: Express, headers: Record<string, string> = {}) => request(app).head('/').set(headers)

  it('renews the stored head of the same representation, and its freshness', async () => {
    const app = shop()
    await get(app)
    app.locals.note = 'second'
    const now = Date.now() + 70_000
    jest.spyOn(Date, 'now').mockImplementation(() => now)
    const answer = await head(app)
    expect([answer.headers['x-cache'], answer.headers['x-note'], answer.text]).toEqual(['BYPASS', 'second', undefined])
    await eventually(async () => (await get(app)).headers['x-cache'] === 'HIT')
    const { headers, text } = await get(app)
    expect([headers['x-cache'], headers['x-note'], text]).toEqual(['HIT', 'second', 'body 1'])
  })

  it('removes the stored answer of another one', async () => {
    const app = shop()
    await get(app)
    app.locals.version = 2
    await head(app, { 'Cache-Control': 'no-cache' })
    await eventually(async () => {
      const { headers, text } = await get(app)
      return headers['x-cache'] === 'HIT' && text === 'body 2'
    })
  })

  it('changes nothing for a client whose answers are not everyone’s', async () => {
    const app = shop()
    await get(app)
    app.locals.version = 2
    await head(app, { 'Cache-Control': 'no-cache', Cookie: 'sid=1' })
    const { headers, text } = await get(app)
    expect([headers['x-cache'], text]).toEqual(['HIT', 'body 1'])
  })

  it('stores nothing where nothing is stored', async () => {
    const app = shop()
    await head(app)
    expect(await server.client().keys('holdfast:responses:default*')).toEqual([])
  })
})
