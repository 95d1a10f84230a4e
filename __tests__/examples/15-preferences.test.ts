import { expect, it } from '@jest/globals'
import type { Express } from 'express'
import request from 'supertest'
import { createApp } from '../../examples/15-preferences/app.js'
import type { RedisManager } from '../../src/index.js'
import { eventually } from '../support/eventually.js'
import type { RedisServer } from '../support/redis-server.js'
import { useRedis } from '../support/use-redis.js'

let server: RedisServer
let redis: RedisManager
let app: Express

useRedis((own) => {
  server = own.server
  redis = own.redis
  app = createApp(redis)
})

const patch = (etag: string, body: object): request.Test =>
  request(app).patch('/users/ann/preferences').set('If-Match', etag).send(body)

it('lets the first of two windows change the preferences, and tells the second', async () => {
  const { headers, body } = await request(app).get('/users/ann/preferences')
  expect(body).toEqual({ theme: 'light', pageSize: 20 })
  const etag = headers.etag as string
  expect((await patch(etag, { theme: 'dark' }).expect(200)).body).toEqual({ theme: 'dark', pageSize: 20 })
  await patch(etag, { pageSize: 50 }).expect(412)
  await request(app).patch('/users/ann/preferences').send({}).expect(428)
})

it('refuses what is no preference', async () => {
  const etag = (await request(app).get('/users/ann/preferences')).headers.etag as string
  await patch(etag, { theme: 'pink' }).expect(400)
  await patch(etag, { admin: true }).expect(400)
})

it('exports and erases', async () => {
  expect((await request(app).get('/users/ann/export')).body).toEqual({ theme: 'dark' })
  await request(app).delete('/users/ann').expect(204)
  expect((await request(app).get('/users/ann/export')).body).toEqual({})
})

it('serves pages while Redis is away, and says that nothing can be changed', async () => {
  await server.kill()
  await eventually(() => !redis.available)
  expect((await request(app).get('/users/zoe/page').expect(200)).text).toBe('<body class="light">20 rows</body>')
  await request(app).get('/users/zoe/preferences').expect(503)
})
