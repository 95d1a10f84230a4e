import { expect, it } from '@jest/globals'
import request from 'supertest'
import { createApp } from '../../examples/13-locks/app.js'
import type { RedisManager } from '../../src/index.js'
import { eventually } from '../support/eventually.js'
import type { RedisServer } from '../support/redis-server.js'
import { useRedis } from '../support/use-redis.js'

let server: RedisServer
let redis: RedisManager

useRedis((own) => {
  server = own.server
  redis = own.redis
})

it('runs each month once at a time, over two processes, and three uploads at a time', async () => {
  const apps = [createApp(redis), createApp(redis)]
  const post = async (path: string, index: number): Promise<number> =>
    (await request(apps[index % 2] as (typeof apps)[0]).post(path)).status
  const runs = await Promise.all([0, 1, 2, 3].map((index) => post('/invoices/2026-11', index)))
  expect(runs.sort()).toEqual([201, 409, 409, 409])
  expect(await post('/invoices/2026-11', 0)).toBe(201)
  const uploads = await Promise.all([0, 1, 2, 3, 4].map((index) => post('/uploads', index)))
  expect(uploads.sort()).toEqual([204, 204, 204, 429, 429])
})

it('answers 503 while nobody can tell whether the run is going on', async () => {
  const app = createApp(redis)
  await server.kill()
  await eventually(() => !redis.available)
  await request(app).post('/invoices/2026-12').expect(503)
  await server.restart()
  await redis.ready('5s')
  await request(app).post('/invoices/2026-12').expect(201)
})
