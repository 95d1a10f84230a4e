import { describe, expect, it } from '@jest/globals'
import express from 'express'
import express4 from 'express4'
import { Counter, Registry } from 'prom-client'
import request from 'supertest'
import { createMetrics, type Metrics, prometheus } from '../../src/ops/index.js'
import { createRedisManager, type RedisManager } from '../../src/redis/index.js'
import { useRedis } from '../support/use-redis.js'

let redis: RedisManager
let metrics: Metrics

useRedis(
  (own) => {
    redis = own.redis
    metrics = createMetrics({ redis })
  },
  { close: () => metrics.close() },
)

const scrape = async (handler = prometheus({ metrics })): Promise<string> =>
  (await request(express().get('/metrics', handler)).get('/metrics').expect(200)).text

describe('prometheus', () => {
  it('answers the text format, by Prometheus’ conventions for names and units', async () => {
    metrics.observe('checkout', 12)
    const response = await request(express().get('/metrics', prometheus({ metrics }))).get('/metrics')
    expect(response.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8')
    expect(response.headers['cache-control']).toBe('no-store')
    const lines = response.text.split('\n')
    expect(lines).toContain('holdfast_redis_up 1')
    expect(lines).toContain('holdfast_measured_calls_total{operation="checkout",outcome="ok"} 1')
    expect(lines).toContain('holdfast_measured_call_duration_seconds_bucket{operation="checkout",le="0.01"} 0')
    expect(lines).toContain('holdfast_measured_call_duration_seconds_bucket{operation="checkout",le="0.025"} 1')
    expect(lines).toContain('holdfast_measured_call_duration_seconds_bucket{operation="checkout",le="+Inf"} 1')
    expect(lines).toContain('holdfast_measured_call_duration_seconds_count{operation="checkout"} 1')
    expect(lines).toContain('holdfast_measured_call_duration_seconds_sum{operation="checkout"} 0.012')
    for (const [, name, type] of response.text.matchAll(/^# TYPE (\S+) (\S+)$/gm)) {
      expect(name).toMatch(/^holdfast_[a-z0-9_]+$/)
      if (type === 'counter') expect(name).toMatch(/_total$/)
      if (type === 'histogram') expect(name).toMatch(/_seconds$/)
    }
  })

  it('shows what features know about themselves, in base units', async () => {
    const source = (name: string, bufferedBytes: number) => ({
      feature: 'rate-limit',
      name,
      status: () => ({
        status: 'pass' as const,
        values: { bufferedBytes, oldestMs: 1500, blocked: true, mode: 'a"b\n' },
      }),
    })
    const offs = [
      redis.register(source('api', 10)),
      redis.register(source('login', 20)),
      redis.register(source('login', 30)),
    ]
    const text = await scrape()
    expect(text).toContain('holdfast_rate_limit_buffered_bytes{name="api"} 10')
    expect(text).toContain('holdfast_rate_limit_buffered_bytes{name="login"} 20')
    expect(text).toContain('holdfast_rate_limit_buffered_bytes{name="login#2"} 30')
    expect(text).toContain('holdfast_rate_limit_oldest_seconds{name="api"} 1.5')
    expect(text).toContain('holdfast_rate_limit_blocked{name="api"} 1')
    expect(text).toContain('holdfast_rate_limit_mode_info{name="api",value="a\\"b\\n"} 1')
    expect(text).toContain('holdfast_feature_status{feature="rate-limit",name="api",status="pass"} 1')
    for (const off of offs) off()
  })

  it('says no series twice', async () => {
    const text = await scrape()
    const series = text.split('\n').flatMap((line) => (line.startsWith('#') || line === '' ? [] : line.split(' ')[0]))
    expect(new Set(series).size).toBe(series.length)
  })

  it('adds itself to a registry of the app, whose own metrics stay', async () => {
    const register = new Registry()
    new Counter({ name: 'orders_total', help: 'Orders.', registers: [register] }).inc()
    prometheus({ metrics, register })
    metrics.observe('late', 1)
    const text = await register.metrics()
    expect(text).toContain('orders_total 1')
    expect(text).toContain('holdfast_redis_up 1')
    await new Promise((resolve) => setTimeout(resolve, 25))
    expect(await register.metrics()).toContain('holdfast_measured_calls_total{operation="late",outcome="ok"} 1')
  })

  it('is right in the OpenMetrics format too', async () => {
    await redis.execute('read', (client) => client.get('a'))
    const register = new Registry<typeof Registry.OPENMETRICS_CONTENT_TYPE>()
    register.setContentType(Registry.OPENMETRICS_CONTENT_TYPE)
    const text = await scrape(prometheus({ metrics, register }))
    expect(text).toContain('# TYPE holdfast_redis_calls counter')
    expect(text).toMatch(/^holdfast_redis_calls_total\{operation=/m)
    expect(text).not.toContain('_total_total')
    expect(text.trimEnd().endsWith('# EOF')).toBe(true)
  })

  it('leaves the default registry of prom-client alone', async () => {
    await scrape()
    const { register } = await import('prom-client')
    expect(await register.metrics()).not.toContain('holdfast')
  })

  it('answers 404 to whoever may not read it', async () => {
    const app = express().get('/metrics', prometheus({ metrics, allow: (req) => req.get('x-scraper') === 'yes' }))
    await request(app).get('/metrics').expect(404)
    await request(app).get('/metrics').set('x-scraper', 'yes').expect(200)
  })

  it('works on Express 4, answers HEAD without a body, and leaves other methods alone', async () => {
    const app = express4().use('/metrics', prometheus({ metrics }) as never)
    await request(app).get('/metrics').expect(200)
    expect((await request(app).head('/metrics').expect(200)).text).toBeUndefined()
    await request(app).post('/metrics').expect(404)
  })

  it('shows Redis as down while it is, without asking it', async () => {
    const absent = createRedisManager({ env: {}, logger: false })
    const own = createMetrics({ redis: absent })
    expect(await scrape(prometheus({ metrics: own }))).toContain('holdfast_redis_up 0')
    await own.close()
    await absent.close()
  })

  it('refuses what are no metrics', () => {
    expect(() => prometheus({ metrics: {} as never })).toThrow('prometheus: "metrics" must be metrics made by')
    expect(() => prometheus({} as never)).toThrow('prometheus: "metrics" is required')
  })
})
