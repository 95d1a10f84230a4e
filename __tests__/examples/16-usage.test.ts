import { expect, it } from '@jest/globals'
import request from 'supertest'
import { createApp } from '../../examples/16-usage/app.js'
import type { RedisManager } from '../../src/index.js'
import { eventually } from '../support/eventually.js'
import type { RedisServer } from '../support/redis-server.js'
import { useRedis } from '../support/use-redis.js'

let server: RedisServer
let redis: RedisManager
let app: ReturnType<typeof createApp>

useRedis(
  (own) => {
    server = own.server
    redis = own.redis
    app = createApp(redis)
  },
  { close: () => app.usage.close() },
)

const search = async (key: string, plan = 'free'): Promise<number> =>
  (await request(app).get('/search').set({ 'X-Api-Key': key, 'X-Plan': plan })).status

it('slows down who has used up the quota of the day, and nobody else', async () => {
  expect(await search('ann')).toBe(200)
  await eventually(async () => (await search('ann')) === 429, { within: 8000, every: 100 })
  expect(await search('bob')).toBe(200)
  for (let i = 0; i < 5; i++) expect(await search('cid', 'pro')).toBe(200)
})

it('reports by operation and by user, shows activity, and erases', async () => {
  await app.usage.flush()
  const { body } = await request(app).get('/admin/usage')
  expect(body.rows[0]).toMatchObject({ key: 'GET /search' })
  const users = (await request(app).get('/admin/usage?by=user')).body.rows.map(({ key }: { key: string }) => key)
  expect(users).toEqual(expect.arrayContaining(['ann', 'bob', 'cid']))
  expect((await request(app).get('/admin/customers/cid')).body.operations[0]).toMatchObject({ calls: 5, cost: 25 })
  await request(app).delete('/admin/customers/cid').expect(204)
  expect((await request(app).get('/admin/customers/cid')).body.operations).toEqual([])
})

it('serves and counts on while Redis is away', async () => {
  await server.kill()
  await eventually(() => !redis.available)
  expect(await search('zoe')).toBe(200)
  await request(app).get('/admin/usage').expect(503)
})
