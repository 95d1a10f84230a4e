import { beforeEach, expect, it } from '@jest/globals'
import type { Express } from 'express'
import request from 'supertest'
import { type Catalogue, createApp } from '../../examples/06-cache/app.js'
import type { Cache, RedisManager } from '../../src/index.js'
import type { RedisServer } from '../support/redis-server.js'
import { useRedis } from '../support/use-redis.js'

let server: RedisServer
let redis: RedisManager
let app: Express
let calls: string[] = []

function catalogueOf(tenant: string): Catalogue {
  const note = (call: string) => calls.push(`${tenant} ${call}`)
  return {
    async find(id) {
      note(`find ${id}`)
      return id > 9 ? null : { id, name: `${tenant}'s anchor`, price: 120 }
    },
    async search(filter) {
      note(`search ${filter.colour} ${filter.max}`)
      return [1]
    },
    setPrice: async (id, price) => ({ id, name: 'Anchor', price }),
  }
}

useRedis(
  (own) => {
    server = own.server
    redis = own.redis
    app = createApp(redis, catalogueOf)
  },
  { close: () => (app.locals.cache as Cache).close() },
)
beforeEach(async () => {
  await server.client().flushall()
  calls = []
})

it('computes a product once for each tenant, also one that is not there', async () => {
  for (let i = 0; i < 3; i++) {
    expect((await request(app).get('/acme/products/1')).body.name).toBe("acme's anchor")
    expect((await request(app).get('/other/products/1')).body.name).toBe("other's anchor")
    await request(app).get('/acme/products/10').expect(404)
  }
  expect(calls).toEqual(['acme find 1', 'other find 1', 'acme find 10'])
})

it('knows a search by its content, not by the order of its parameters', async () => {
  await request(app).get('/acme/search?colour=red&max=5')
  await request(app).get('/acme/search?max=5&colour=red')
  await request(app).get('/acme/search?max=6&colour=red')
  expect(calls).toEqual(['acme search red 5', 'acme search red 6'])
})

it('forgets the products of one tenant when a price of theirs changes', async () => {
  for (const tenant of ['acme', 'other']) await request(app).get(`/${tenant}/products/1`)
  await request(app).put('/acme/products/1/price/99').expect(200)
  for (const tenant of ['acme', 'other']) await request(app).get(`/${tenant}/products/1`)
  expect(calls).toEqual(['acme find 1', 'other find 1', 'acme find 1'])
  expect((await request(app).get('/cache')).body.misses).toBeGreaterThan(0)
})
