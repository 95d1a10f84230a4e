import { expect, it } from '@jest/globals'
import type { Express } from 'express'
import request from 'supertest'
import { createApp } from '../../examples/03-rate-limit/app.js'
import type { RedisManager } from '../../src/index.js'
import { useRedis } from '../support/use-redis.js'

let redis: RedisManager
let app: Express

useRedis((own) => {
  redis = own.redis
  app = createApp(redis)
})

const orders = (key: string) => request(app).get('/api/orders').set('x-api-key', key)

it('gives every plan its limits, and every customer their own count', async () => {
  for (let left = 4; left >= 0; left--) expect((await orders('key-of-ada').expect(200)).body.remaining).toBe(left)
  const { headers, body } = await orders('key-of-ada').expect(429)
  expect(headers['ratelimit-policy']).toBe('"everybody";q=1000;w=60, "free";q=5;w=60')
  expect(body['violated-policies']).toEqual(['free'])
  const bob = await orders('key-of-bob').expect(200)
  expect(bob.headers['ratelimit-policy']).toBe('"everybody";q=1000;w=60, "pro-burst";q=10;w=1, "pro";q=100;w=60')
})

it('lets an operator forgive a customer', async () => {
  await orders('key-of-ada').expect(429)
  await request(app).delete('/limits/ada').expect(204)
  await orders('key-of-ada').expect(200)
})

it('charges more for writing than for reading', async () => {
  const write = () => request(app).post('/api/orders').set('x-api-key', 'key-of-bob')
  expect((await write().expect(200)).headers.ratelimit).toMatch(/"pro-burst";r=[45];/)
})

it('stops guessing at a password, and lets the owner in', async () => {
  const login = (password: string) => request(app).post('/login').send({ email: 'ada@example.com', password })
  for (let i = 0; i < 4; i++) await login('guess').expect(401)
  await login('correct horse').expect(204)
  await login('guess').expect(401)
  await login('guess').expect(429)
})

it('makes one report at a time for each caller', async () => {
  const statuses = await Promise.all([1, 2, 3].map(async () => (await request(app).get('/report')).status))
  expect(statuses).toContain(200)
  expect(statuses).toContain(429)
  await request(app).get('/report').expect(200)
})
