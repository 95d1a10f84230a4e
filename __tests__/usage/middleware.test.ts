import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import express, { type Express, type Request } from 'express'
import express4 from 'express4'
import request from 'supertest'
import { rateLimit } from '../../src/rate-limit/index.js'
import { createRedisManager, type RedisManager } from '../../src/redis/index.js'
import { createUsage, type Usage, type UsageMiddlewareOptions } from '../../src/usage/index.js'
import { describeDegradation } from '../contract/degradation.js'
import { eventually } from '../support/eventually.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'

let server: RedisServer
let redis: RedisManager

beforeAll(async () => {
  server = await startRedis()
  redis = createRedisManager({ url: server.url, logger: false, commandTimeout: '1s' })
  await redis.ready()
})
afterAll(async () => {
  await redis.close()
  await server.stop()
})

let names = 0
const fresh = (): Usage => createUsage({ redis, name: `test ${names++}`, flushInterval: '1m' })

function appWith(usage: Usage, options?: UsageMiddlewareOptions, factory: typeof express = express): Express {
  const app = factory()
  app.use((req, _res, next) => {
    const id = req.get('x-user')
    if (id !== undefined) Object.assign(req, { user: { id } })
    next()
  })
  app.use(usage.middleware(options))
  const router = factory.Router()
  router.get('/:id', (_req, res) => void res.send('ok'))
  app.use('/users', router)
  const orders = factory.Router()
  orders.get('/orders', (_req, res) => void res.send('ok'))
  app.use('/users/:id', orders)
  const shop = factory.Router({ mergeParams: true })
  shop.get('/items/:item', (_req, res) => void res.send('ok'))
  app.use('/shops/:shop', shop)
  app.get('/fail', (_req, res) => void res.status(500).send('no'))
  app.get('/slow', (_req, res) => void setTimeout(() => res.send('late'), 10_000).unref())
  return app
}

async function rowsOf(usage: Usage, calls: number): Promise<Record<string, unknown>> {
  await eventually(() => usage.stats().tracked === calls)
  await usage.flush()
  const { rows } = await usage.report({ from: Date.now() - 600_000, to: Date.now() + 60_000 })
  return Object.fromEntries(rows.map(({ key, calls, errors, cost }) => [key, { calls, errors, cost }]))
}

describe.each([
  ['Express 5', express],
  ['Express 4', express4 as unknown as typeof express],
])('the middleware on %s', (_, factory) => {
  it('tracks user, route, duration and failure of every request, but no paths that anybody may invent', async () => {
    const usage = fresh()
    const app = appWith(usage, undefined, factory)
    await request(app).get('/users/1?x=1').set('x-user', 'ann')
    await request(app).get('/users/2').set('x-user', 'bob')
    await request(app).get('/fail')
    for (const id of ['17', '18', '550e8400-e29b-41d4-a716-446655440000']) await request(app).get(`/users/${id}/orders`)
    for (const shop of ['bakery', 'caf%C3%A9', 'items', '12'])
      await request(app).get(`/shops/${shop}/items/${shop === 'items' ? 'shops' : 'x'}`)
    for (const path of ['/a', '/b', '/c']) await request(app).get(path)
    expect(await rowsOf(usage, 13)).toEqual({
      'GET /users/:id': { calls: 2, errors: 0, cost: 2 },
      'GET /users/:id/orders': { calls: 3, errors: 0, cost: 3 },
      'GET /shops/:shop/items/:item': { calls: 4, errors: 0, cost: 4 },
      'GET /fail': { calls: 1, errors: 1, cost: 1 },
      unmatched: { calls: 3, errors: 0, cost: 3 },
    })
    expect((await usage.activity('ann')).operations).toMatchObject([{ key: 'GET /users/:id', calls: 1 }])
    await usage.close()
  })
})

describe('the middleware', () => {
  it('takes user, operation and cost from your functions, and survives what they throw', async () => {
    const usage = fresh()
    const fail = (): never => {
      throw new Error('no')
    }
    const app = appWith(usage, {
      user: (req) => req.get('x-key'),
      operation: (req) => req.method,
      cost: (_, res) => res.statusCode,
    })
    await request(app).get('/users/1').set('x-key', 'k1')
    await request(appWith(usage, { user: fail, operation: fail, cost: fail }))
      .get('/users/1')
      .expect(200)
    expect(await rowsOf(usage, 2)).toEqual({
      GET: { calls: 1, errors: 0, cost: 200 },
      unmatched: { calls: 1, errors: 0, cost: 1 },
    })
    await usage.close()
  })

  it('counts requests whose client went away', async () => {
    const usage = fresh()
    await expect(request(appWith(usage)).get('/slow').timeout(100)).rejects.toThrow()
    expect(await rowsOf(usage, 1)).toEqual({ 'GET /slow': { calls: 1, errors: 0, cost: 1 } })
    await usage.close()
  })

  it('refuses options that are none', () => {
    expect(() => fresh().middleware({ colour: 1 } as never)).toThrow(
      expect.objectContaining({ code: 'ERR_HOLDFAST_CONFIG' }),
    )
  })
})

describe('a quota in front of the rate limiter', () => {
  it('as `skip` lets users pass until they are over it, as `limit` gives them less from then on', async () => {
    const usage = fresh()
    const quota = usage.quota<Request>({ user: (req) => req.get('x-user'), limit: 3, freshFor: 0 })
    const key = (req: Request): string => req.get('x-user') ?? 'nobody'
    const app = express()
    app.use(usage.middleware({ user: key }))
    app.get(
      '/skip',
      rateLimit({ redis, name: 'slow-lane', limit: 1, window: '1m', key, skip: quota.within }),
      (_req, res) => void res.send('ok'),
    )
    app.get(
      '/limit',
      rateLimit({ redis, name: 'two-lanes', limit: quota.limit(50, 1), window: '1m', key }),
      (_req, res) => void res.send('ok'),
    )
    const get = async (path: string): Promise<number> => (await request(app).get(path).set('x-user', 'ann')).status
    for (let i = 1; i <= 3; i++) {
      expect([await get('/skip')]).toEqual([200])
      await eventually(() => usage.stats().tracked === i)
      await usage.flush()
    }
    expect([await get('/skip'), await get('/skip')]).toEqual([200, 429])
    expect([await get('/limit'), await get('/limit')]).toEqual([200, 429])
    await usage.close()
  })
})

describeDegradation('usage', {
  mount: (manager) => {
    const usage = createUsage({ redis: manager, flushInterval: '20ms' })
    const app = express()
    app.use(usage.middleware())
    app.get('/', async (_req, res) => {
      // Usage itself asks Redis nothing on the way of a request, and would wait a second for a slow one.
      await manager.attempt(
        'handler',
        (client) => client.ping(),
        () => 'away',
      )
      res.json(usage.stats())
    })
    return app
  },
  whenUp: async (get) => {
    const flushed = async (): Promise<number> => JSON.parse((await get('/')).body).flushed
    const before = await flushed()
    await eventually(async () => (await flushed()) > before)
  },
  whenAway: ({ body }) => {
    expect(JSON.parse(body).tracked).toBeGreaterThanOrEqual(0)
    expect(JSON.parse(body).dropped).toBe(0)
  },
})
