import type { Server } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { createServer } from 'holdfast/server'
import request from 'supertest'
import { createShop, type Shop } from '../../examples/18-full-stack/app.js'
import { eventually } from '../support/eventually.js'
import { useRedis } from '../support/use-redis.js'

let shop: Shop
let server: Server
useRedis(({ redis }) => {
  shop = createShop(redis)
})
beforeAll(async () => {
  server = createServer(shop.app, { front: shop.front })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()))
})
afterAll(async () => {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
  shop.close()
})

const patiently = { within: 10_000 }

describe('one application in all three modes', () => {
  it('answers from the cache, counts that against the limit, and knows who is logged in', async () => {
    const client = request.agent(server)
    await client.post('/login/ann').expect(200, { name: 'ann' })
    await client.get('/products').expect('X-Cache', 'MISS')
    const hit = await eventually(() => client.get('/products').expect('X-Cache', 'HIT'), patiently)
    expect(hit.body).toEqual([{ id: 1, name: 'Anchor' }])
    const before = Number(hit.headers['x-ratelimit-remaining'])
    await client.get('/me').expect(200, { name: 'ann', remaining: before - 1 })
    await client.post('/products').expect(201)
    await client.get('/products').expect('X-Cache', 'MISS')
  })

  it('keeps one answer per session where the key asks for it', async () => {
    const ann = request.agent(server)
    await ann.post('/login/ann').expect(200)
    await ann.get('/offers').expect(200, { for: 'ann', offers: ['Rope'] })
    await request(server)
      .get('/offers')
      .expect(200, { for: 'guest', offers: ['Rope'] })
    await eventually(() => ann.get('/offers').expect('X-Cache', 'HIT'), patiently)
    await ann.get('/offers').expect(200, { for: 'ann', offers: ['Rope'] })
  })

  it('answers the public catalogue before Express, uncounted', async () => {
    let seen = 0
    // What an Express application calls for each request.
    const express = shop.app as unknown as { handle(...given: unknown[]): void }
    const { handle } = express
    express.handle = function (...given) {
      seen++
      Reflect.apply(handle, this, given)
    }
    await eventually(() => request(server).get('/catalogue').expect('X-Cache', 'HIT'), patiently)
    await eventually(async () => {
      const before = seen
      const { headers } = await request(server).get('/catalogue').expect('X-Cache', 'HIT')
      expect(headers['x-ratelimit-remaining']).toBeUndefined()
      expect(headers['x-powered-by']).toBe('Express')
      return seen === before
    }, patiently)
  })
})
