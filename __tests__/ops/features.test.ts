import { expect, it } from '@jest/globals'
import express from 'express'
import { createCache } from 'holdfast/cache'
import { health } from 'holdfast/ops'
import { createQueue } from 'holdfast/queue'
import { createRateLimiter } from 'holdfast/rate-limit'
import { securityLog } from 'holdfast/security'
import { redisSession } from 'holdfast/session'
import request from 'supertest'
import type { RedisManager } from '../../src/redis/index.js'
import { useRedis } from '../support/use-redis.js'

let redis: RedisManager

useRedis((own) => {
  redis = own.redis
})

it('shows what features say of themselves, until they are closed', async () => {
  const cache = createCache({ redis, namespace: 'prices', ttl: '1m' })
  const limiter = createRateLimiter({ redis, name: 'api', limit: 10, window: '1m' })
  const security = securityLog({ redis, app: 'shop', sink: () => {} })
  const sessions = redisSession({ redis, secret: 'a secret for tests only' })
  const queue = createQueue('mails', { redis })
  await cache.getOrSet('a', () => 1)
  await cache.getOrSet('a', () => 1)
  const report = await request(express().use(health({ redis }))).get('/')
  const shown = Object.keys(JSON.parse(report.text).checks).join(' ')
  expect(shown).toMatch(/cache:hitRatio/)
  expect(shown).toMatch(/rate-limit:decidedBy/)
  expect(shown).toMatch(/security:buffered/)
  expect(shown).toMatch(/session:waitingWrites/)
  expect(shown).toMatch(/queue:waitingForRedis/)

  cache.close()
  limiter.close()
  sessions.close()
  await Promise.all([security.close(), queue.close('1s')])
  expect(redis.sources()).toEqual([])
})
