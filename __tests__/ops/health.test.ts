import { describe, expect, it } from '@jest/globals'
import express, { type Express } from 'express'
import express4 from 'express4'
import request from 'supertest'
import { type HealthOptions, health } from '../../src/ops/index.js'
import { createRedisManager, type RedisManager } from '../../src/redis/index.js'
import { eventually } from '../support/eventually.js'
import type { RedisServer } from '../support/redis-server.js'
import { useRedis } from '../support/use-redis.js'

let server: RedisServer
let redis: RedisManager
let absent: RedisManager

useRedis(
  (own) => {
    server = own.server
    redis = own.redis
    absent = createRedisManager({ env: {}, logger: false })
  },
  { close: () => absent.close() },
)

const appWith = (options: Partial<HealthOptions> = {}): Express =>
  express().use('/health', health({ redis, ...options }))

describe('health', () => {
  it('answers the whole report as health+json that no cache keeps', async () => {
    const response = await eventually(
      async () => {
        const answered = await request(appWith({ version: '1.2.3' }))
          .get('/health')
          .expect(200)
        expect(answered.text).toContain('redis:responseTime')
        return answered
      },
      { every: 100 },
    )
    expect(response.headers['content-type']).toBe('application/health+json; charset=utf-8')
    expect(response.headers['cache-control']).toBe('no-store')
    const report = JSON.parse(response.text)
    expect(report).toMatchObject({ status: 'pass', version: '1.2.3' })
    expect(report.checks['redis:responseTime'][0]).toMatchObject({ observedUnit: 'ms', status: 'pass' })
  })

  it('is mounted in the same way on Express 4', async () => {
    const app = express4().use('/health', health({ redis }) as never)
    await request(app).get('/health/ready').expect(200)
    await request(app).get('/health/').expect(200)
  })

  it('answers HEAD without a body and leaves other methods and paths to the app', async () => {
    const head = await request(appWith()).head('/health/ready').expect(200)
    expect(head.text).toBeUndefined()
    await request(appWith()).post('/health').expect(404)
    await request(appWith()).get('/health/else').expect(404)
  })

  it('is live and ready without Redis, saying warn', async () => {
    const app = appWith({ redis: absent })
    await request(app).get('/health/live').expect(200)
    const ready = await request(app).get('/health/ready').expect(200)
    expect(JSON.parse(ready.text).status).toBe('warn')
  })

  it('is not ready without Redis where Redis is critical, yet live', async () => {
    const app = appWith({ redis: absent, critical: true })
    await request(app).get('/health/live').expect(200)
    await request(app).get('/health/ready').expect(503)
    await request(app).get('/health').expect(503)
  })

  it('turns ready to 503 from drain() on, within the second for which a report is kept', async () => {
    const middleware = health({ redis })
    const app = express().use('/health', middleware)
    await request(app).get('/health/ready').expect(200)
    middleware.drain()
    await request(app).get('/health/ready').expect(503)
    await request(app).get('/health/live').expect(200)
  })

  it('runs checks of the app side by side and bounds the one that hangs', async () => {
    const response = await request(
      appWith({
        checks: {
          // Without the bound there would be no answer.
          hangs: () => new Promise(() => {}),
          throws: () => {
            throw new Error('db-7.internal refused')
          },
          disk: () => ({ observedValue: 41, observedUnit: 'percent' }),
        },
      }),
    ).get('/health')
    expect(response.status).toBe(200)
    const { status, checks } = JSON.parse(response.text)
    expect(status).toBe('warn')
    expect(checks.hangs[0].status).toBe('warn')
    expect(checks.throws[0].status).toBe('warn')
    expect(checks.disk[0]).toMatchObject({ status: 'pass', observedValue: 41, observedUnit: 'percent' })
  })

  it('fails when a critical check fails', async () => {
    const checks = { db: { critical: true, run: () => Promise.reject(new Error('gone')) } }
    await request(appWith({ checks })).get('/health/ready').expect(503)
  })

  it('shows errors and host names only to callers it may show them to', async () => {
    const checks = { db: () => Promise.reject(new Error('db-7.internal refused')) }
    const details = (req: { get(name: string): string | undefined }): boolean => req.get('x-operator') === 'yes'
    const app = appWith({ checks, details })
    expect((await request(app).get('/health')).text).not.toContain('db-7')
    expect((await request(app).get('/health').set('x-operator', 'yes')).text).toContain('db-7')
  })

  it('asks Redis once for many callers within a second', async () => {
    const app = appWith()
    const before = await commandsOf('ping')
    const started = performance.now()
    await Promise.all(Array.from({ length: 100 }, () => request(app).get('/health').expect(200)))
    const seconds = Math.ceil((performance.now() - started) / 1000)
    expect((await commandsOf('ping')) - before).toBeLessThanOrEqual(1 + seconds)
  })

  it('refuses options it does not know and a manager that is none', () => {
    expect(() => health({ redis, critcal: true } as never)).toThrow('health: "critcal" is not an option')
    expect(() => health({ redis: {} as never })).toThrow('health: "redis" must be a Redis manager')
    expect(() => health({} as never)).toThrow('health: "redis" is required')
  })
})

async function commandsOf(name: string): Promise<number> {
  const info = await server.client().info('commandstats')
  return Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(info)?.[1] ?? 0)
}
