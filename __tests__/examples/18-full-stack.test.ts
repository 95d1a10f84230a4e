import { afterAll, beforeAll, expect, it } from '@jest/globals'
import { createServer } from 'holdfast/server'
import request from 'supertest'
import { createShop, type Shop } from '../../examples/18-full-stack/app.js'
import type { RedisManager } from '../../src/redis/index.js'
import { eventually } from '../support/eventually.js'
import { useRedis } from '../support/use-redis.js'

let redis: RedisManager
let shop: Shop
useRedis((own) => {
  redis = own.redis
})
beforeAll(() => {
  shop = createShop(redis)
})
afterAll(() => shop.close())

it('answers from the cache, counts that against the limit, and knows who is logged in', async () => {
  const client = request.agent(createServer(shop.app))
  await client.post('/login/ann').expect(200, { name: 'ann' })
  await client.get('/products').expect('X-Cache', 'MISS')
  const hit = await eventually(() => client.get('/products').expect('X-Cache', 'HIT'), { within: 10_000 })
  expect(hit.body).toEqual([{ id: 1, name: 'Anchor' }])
  const before = Number(hit.headers['x-ratelimit-remaining'])
  await client.get('/me').expect(200, { name: 'ann', remaining: before - 1 })
  await client.post('/products').expect(201)
  await client.get('/products').expect('X-Cache', 'MISS')
})
