import { afterAll, beforeAll, expect, it } from '@jest/globals'
import type { Express, Response } from 'express'
import request from 'supertest'
import { createRedisManager, type RedisManager } from '../../src/redis/index.js'
import { eventually } from '../support/eventually.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { appWith } from './app.js'

let server: RedisServer
let redis: RedisManager
let other: RedisManager

beforeAll(async () => {
  server = await startRedis()
  redis = createRedisManager({ url: server.url, logger: false, commandTimeout: '10s' })
  other = createRedisManager({ url: server.url, logger: false, commandTimeout: '10s' })
  await Promise.all([redis.ready('10s'), other.ready('10s')])
})
afterAll(async () => {
  await Promise.all([redis.close(), other.close()])
  await server.stop()
})

async function commands(): Promise<number> {
  const info = await server.client().info('commandstats')
  return Number(/cmdstat_mget:calls=(\d+)/.exec(info)?.[1] ?? 0)
}

const ask = (app: Express) => request(app).get('/').set('Host', 'shop.example').set('Accept-Language', 'de')

/** Until hits come from this process: Redis has to confirm first that it will tell of changes. */
async function warm(app: Express): Promise<void> {
  await eventually(
    async () => {
      await ask(app)
      const before = await commands()
      const { headers } = await ask(app)
      return headers['x-cache'] === 'HIT' && (await commands()) === before
    },
    { within: 5000, every: 50 },
  )
}

it('a copy in this process answers without a word to Redis, and is gone with its tag, wherever that is said', async () => {
  let version = 1
  const handler = (_req: unknown, res: Response) => void res.vary('Accept-Language').send(`v${version}`)
  const here = appWith(handler, { redis, local: true, tags: ['price'] })
  const there = appWith(handler, { redis: other, local: true, tags: ['price'] })
  await warm(here.app)
  await warm(there.app)

  version = 2
  expect(await here.cache.invalidateTags('price')).toBe(true)
  expect((await ask(here.app)).text).toBe('v2')
  await eventually(async () => (await ask(there.app)).text === 'v2')

  await warm(here.app)
  await warm(there.app)
  version = 3
  await request(there.app).post('/').set('Host', 'shop.example')
  await eventually(async () => (await ask(here.app)).text === 'v3')
})
