import { expect, it } from '@jest/globals'
import type { Express } from 'express'
import request from 'supertest'
import { createApp } from '../../examples/02-response-cache/app.js'
import type { RedisManager } from '../../src/index.js'
import { eventually } from '../support/eventually.js'
import { useRedis } from '../support/use-redis.js'

let redis: RedisManager
let app: Express

useRedis((own) => {
  redis = own.redis
  app = createApp(redis)
})

const stateOf = async (path: string, headers = {}): Promise<unknown> =>
  (await request(app).get(path).set(headers)).headers['x-cache']

it('caches lists and pages and forgets both when a price changes', async () => {
  for (const path of ['/products', '/products/1', '/products/2']) {
    expect(await stateOf(path)).toBe('MISS')
    expect(await stateOf(path)).toBe('HIT')
  }
  await request(app).put('/products/1/price').send({ price: 99 }).expect(200)
  const page = await request(app).get('/products/1')
  expect([page.headers['x-cache'], page.body.price]).toEqual(['MISS', 99])
  expect((await request(app).get('/products')).body[0].price).toBe(99)
  expect(await stateOf('/products/2')).toBe('HIT')
})

it('does not cache what is not there', async () => {
  expect(await stateOf('/products/9')).toBe('MISS')
  expect(await stateOf('/products/9')).toBe('MISS')
})

it('sends the price list in the encoding that its client prefers, compressed once', async () => {
  const list = (encoding: string) => request(app).get('/prices.csv').set('Accept-Encoding', encoding)
  const { text } = await list('identity')
  await eventually(async () => (await list('gzip')).headers['content-encoding'] === 'gzip')
  const { headers, text: unpacked } = await list('gzip')
  expect([headers['x-cache'], headers.vary, unpacked]).toEqual(['HIT', 'Accept-Encoding', text])
  expect(Number(headers['content-length'])).toBeLessThan(text.length / 2)
})

it('gives every user their own orders', async () => {
  expect(await stateOf('/orders', { Authorization: 'Bearer ann' })).toBe('MISS')
  expect(await stateOf('/orders', { Authorization: 'Bearer ann' })).toBe('HIT')
  expect(await stateOf('/orders', { Authorization: 'Bearer bob' })).toBe('MISS')
  expect(await stateOf('/orders')).toBe('BYPASS')
})
