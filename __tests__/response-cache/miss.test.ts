import { afterAll, beforeAll, beforeEach, expect, it } from '@jest/globals'
import express, { type Express, type RequestHandler } from 'express'
import request from 'supertest'
import { createRedisManager, type RedisManager } from '../../src/redis/index.js'
import { type ResponseCacheMiddleware, responseCache } from '../../src/response-cache/index.js'
import { eventually } from '../support/eventually.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { warmUp } from './app.js'

let server: RedisServer
let redis: RedisManager
let cache: ResponseCacheMiddleware

beforeAll(async () => {
  server = await startRedis()
  redis = createRedisManager({ url: server.url, logger: false, commandTimeout: '10s' })
  await redis.ready('10s')
})
afterAll(async () => {
  await redis.close()
  await server.stop()
})
beforeEach(async () => {
  await server.client().flushall()
  await warmUp(redis)
  cache = responseCache({ redis, ttl: '60s', tags: ['products'], namespace: 'misses' })
})

const appOf = (handler: RequestHandler): Express => express().use(cache, handler)

const ask = async (app: Express, path = '/'): Promise<string> => {
  const { headers, text } = await request(app).get(path).set('Host', 'shop.example')
  return `${headers['x-cache']} ${text}`
}

/** Commands for entries that Redis was sent: reads and scripts, without what scripts do. */
async function sent(): Promise<string> {
  const info = await server.client().info('commandstats')
  const of = (name: string): number => Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(info)?.[1] ?? 0)
  return `${of('mget')} mget, ${of('evalsha')} evalsha`
}

it('asks Redis once where answers are known not to be stored', async () => {
  const app = appOf((_req, res) => void res.set('Cache-Control', 'no-store').send('x'))
  await ask(app)
  await eventually(async () => (await server.client().keys('*lease*')).length === 0)
  await server.client().config('RESETSTAT')
  for (let i = 0; i < 3; i++) expect(await ask(app)).toBe('MISS x')
  expect(await sent()).toBe('3 mget, 0 evalsha')
})

it('frees the right to answer with what it stores, in one command', async () => {
  const app = appOf((_req, res) => void res.send('x'))
  await ask(app, '/other')
  await eventually(async () => (await ask(app, '/other')) === 'HIT x')
  await server.client().config('RESETSTAT')
  expect(await ask(app)).toBe('MISS x')
  await eventually(async () => (await ask(app)) === 'HIT x')
  expect(await server.client().keys('*lease*')).toEqual([])
  expect(await sent()).toMatch(/ 3 evalsha$/)
})

it('frees it too where the answer has been stored under another key', async () => {
  let vary = 'Accept-Language'
  const app = appOf((_req, res) => void res.set('Vary', vary).send('x'))
  await ask(app)
  await eventually(async () => (await ask(app)) === 'HIT x')
  vary = 'Accept-Language, X-Tenant'
  const tenants = () => request(app).get('/').set({ Host: 'shop.example', 'Accept-Language': 'fr', 'X-Tenant': 'a' })
  expect((await tenants()).headers['x-cache']).toBe('MISS')
  await eventually(async () => (await tenants()).headers['x-cache'] === 'HIT')
  await eventually(async () => (await server.client().keys('*lease*')).length === 0)
})

it('stores what may be stored after all, and keeps the versions for as long', async () => {
  let control = 'no-store'
  const app = appOf((_req, res) => void res.set({ 'Cache-Control': control, 'Surrogate-Key': 'late' }).send('x'))
  await ask(app)
  control = 'public'
  // As they are when they have not been asked for in a while.
  for (const key of await server.client().keys('*misses*')) await server.client().pexpire(key, 20_000)
  expect(await ask(app)).toBe('MISS x')
  await eventually(async () => (await ask(app)) === 'HIT x')
  const lives = await Promise.all((await server.client().keys('*misses*')).map((key) => server.client().pttl(key)))
  expect(lives.filter((life) => life > 40_000).length).toBeGreaterThanOrEqual(5)
  await cache.invalidateTags('late')
  expect(await ask(app)).toBe('MISS x')
})

it.each(['products', 'late'])('never serves what was invalidated by "%s" since the read', async (tag) => {
  let value = 'private'
  let invalidate = async (): Promise<unknown> => undefined
  const app = appOf(async (_req, res) => {
    const read = value
    await invalidate()
    res.set({ 'Cache-Control': read === 'private' ? 'no-store' : 'public', 'Surrogate-Key': 'late' }).send(read)
  })
  await ask(app)
  value = 'old'
  invalidate = async () => {
    value = 'new'
    await cache.invalidateTags(tag)
  }
  expect(await ask(app)).toBe('MISS old')
  invalidate = async () => undefined
  await redis.execute('sync', (client) => client.ping())
  expect(await ask(app)).toBe('MISS new')
})
