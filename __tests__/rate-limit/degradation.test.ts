import { describe, expect, it } from '@jest/globals'
import express from 'express'
import request from 'supertest'
import { type LimitDegraded, rateLimit } from '../../src/rate-limit/index.js'
import { createRedisManager } from '../../src/redis/index.js'
import { describeDegradation } from '../contract/degradation.js'
import { freePort } from '../support/free-port.js'
import { startRedis } from '../support/redis-server.js'
import { eventually } from './support.js'

describeDegradation('rateLimit', {
  mount: (redis) =>
    express()
      .use(rateLimit({ redis, limit: 100_000, window: '1m', name: 'contract' }))
      .get('/', (_req, res) => void res.send('ok')),
  // A late answer on a busy machine passes one request through; the next one is counted.
  whenUp: (get) =>
    eventually(async () => {
      const { status, headers } = await get('/')
      expect(status).toBe(200)
      expect(headers.get('ratelimit')).toMatch(/^"contract";r=\d+;t=\d+$/)
    }),
  whenAway: ({ body, headers }) => {
    expect(body).toBe('ok')
    expect(headers.get('ratelimit')).toBeNull()
  },
})

describeDegradation('rateLimit counting in memory', {
  mount: (redis) =>
    express()
      .use(rateLimit({ redis, limit: 100_000, window: '1m', name: 'contract', onUnavailable: 'memory' }))
      .get('/', (req, res) => void res.send(req.rateLimit?.degraded === true ? 'degraded' : 'ok')),
  whenUp: (get) => eventually(async () => expect((await get('/')).body).toBe('ok')),
  whenAway: ({ body, headers }) => {
    expect(body).toBe('degraded')
    expect(headers.get('ratelimit')).not.toBeNull()
  },
})

describe('while Redis is away', () => {
  it.each([
    ['allow', [200, 200, 200, 200]],
    ['memory', [200, 200, 429, 429]],
    ['deny', [503, 503, 503, 503]],
  ] as const)('%s answers %p', async (onUnavailable, expected) => {
    const redis = createRedisManager({ url: `redis://127.0.0.1:${await freePort()}`, logger: false })
    const app = express()
      .use(rateLimit({ redis, limit: 4, window: '1m', onUnavailable, instances: 2 }))
      .get('/', (_req, res) => void res.send('ok'))
    const statuses: number[] = []
    for (let i = 0; i < 4; i++) {
      const { status, headers, type } = await request(app).get('/')
      statuses.push(status)
      if (status !== 200) {
        expect(Number(headers['retry-after'])).toBeGreaterThan(0)
        expect(type).toBe('application/problem+json')
      }
    }
    expect(statuses).toEqual(expected)
    await redis.close()
  })

  it('says so once per outage, by an event and a warning, and counts again afterwards', async () => {
    const server = await startRedis()
    const lines: string[] = []
    const logger = { info: () => {}, warn: (line: string) => void lines.push(line), error: () => {} }
    const redis = createRedisManager({ url: server.url, logger, commandTimeout: '2s' })
    await redis.ready()
    const events: LimitDegraded[] = []
    redis.on('limit.degraded', (event) => events.push(event))
    const key = (req: express.Request): string => String(req.query.who)
    const app = express().use(rateLimit({ redis, limit: 3, window: '1m', name: 'outage', key }))
    await request(app).get('/').expect(404)
    for (let outage = 1; outage <= 2; outage++) {
      await server.kill()
      await eventually(() => !redis.available)
      for (let i = 0; i < 5; i++) await request(app).get(`/?who=${outage}`).expect(404)
      expect(events).toHaveLength(outage)
      expect(lines.filter((line) => line.includes('HOLDFAST_RATE_LIMIT_DEGRADED'))).toHaveLength(outage)
      await server.restart()
      await eventually(() => redis.available)
      for (let i = 0; i < 3; i++) await request(app).get(`/?who=${outage}`).expect(404)
      await request(app).get(`/?who=${outage}`).expect(429)
    }
    expect(events[0]).toEqual({ limiter: 'outage', reason: 'down', onUnavailable: 'allow' })
    await redis.close()
    await server.stop()
  })
})
