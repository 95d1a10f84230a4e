import { randomUUID } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import express from 'express'
import request from 'supertest'
import { createLeaderboard } from '../../src/leaderboard/index.js'
import { createLocks } from '../../src/lock/index.js'
import { createMetrics, type HistogramSample, type Metrics } from '../../src/ops/index.js'
import { createPreferences } from '../../src/preferences/index.js'
import { rateLimit } from '../../src/rate-limit/index.js'
import { createRedisManager, type RedisManager } from '../../src/redis/index.js'
import { responseCache } from '../../src/response-cache/index.js'
import { redisSession } from '../../src/session/index.js'
import { createUsage } from '../../src/usage/index.js'
import { eventually } from '../support/eventually.js'
import type { RedisServer } from '../support/redis-server.js'
import { useRedis } from '../support/use-redis.js'

let server: RedisServer
let redis: RedisManager
let metrics: Metrics

useRedis((own) => {
  server = own.server
  redis = own.redis
})
beforeEach(async () => {
  await server.client().flushall()
  metrics = createMetrics({ redis })
})
afterEach(() => metrics.close())

describe('createMetrics', () => {
  it('counts and times the operations of middlewares that know nothing of it', async () => {
    const app = express().get('/', rateLimit({ redis, limit: 3, window: '1m' }), (_req, res) => void res.send('ok'))
    for (let i = 0; i < 5; i++) await request(app).get('/')
    const { operations, counters } = metrics.snapshot()
    const limiter = Object.entries(operations).filter(([name]) => name !== 'ping')
    expect(limiter.length).toBeGreaterThan(0)
    const [, stats] = limiter[0] as (typeof limiter)[0]
    expect(stats).toMatchObject({ errors: 0, timeouts: 0, refused: 0, successRate: 1 })
    expect(stats.calls).toBeGreaterThanOrEqual(3)
    expect(stats.p50Ms).toBeGreaterThan(0)
    expect(stats.p50Ms).toBeLessThanOrEqual(stats.p99Ms)
    expect(stats.p99Ms).toBeLessThanOrEqual(stats.maxMs)
    expect(counters.limit_exceeded?.[0]?.value).toBeGreaterThanOrEqual(1)
    const decided = (outcome: string): number =>
      (counters.limit_decisions ?? []).reduce(
        (sum, each) => sum + (each.labels.outcome === outcome ? each.value : 0),
        0,
      )
    expect([decided('allowed'), decided('refused')]).toEqual([3, 2])
  })

  it('knows the hit ratio of a response cache', async () => {
    const app = express().get('/', responseCache({ redis, ttl: '1m' }), (_req, res) => void res.json({ ok: true }))
    await request(app).get('/').expect('X-Cache', 'MISS')
    await eventually(() => request(app).get('/').expect('X-Cache', 'HIT'))
    const { hitRatios } = metrics.snapshot()
    expect(hitRatios.response_cache_requests).toBeGreaterThan(0)
    expect(hitRatios.response_cache_requests).toBeLessThan(1)
  })

  it('counts sessions that requests ask for once each, by what was found, and those that live on', async () => {
    const app = express().use(
      redisSession({ redis, secret: 'a secret for tests only', ttl: '10m', touchAfter: '100ms' }),
    )
    app.get('/in', (req, res) => {
      Object.assign(req.session, { user: 'ada' })
      res.sendStatus(204)
    })
    app.get('/out', (req, res) => req.session.destroy(() => void res.sendStatus(204)))
    app.get('/', (req, res) => void res.json(Object.keys(req.session)))
    const cookie = (await request(app).get('/in')).get('Set-Cookie')?.[0] ?? ''
    const visit = (path: string) => request(app).get(path).set('Cookie', cookie)
    await visit('/')
    await new Promise((resolve) => setTimeout(resolve, 150))
    await visit('/')
    await visit('/out')
    await visit('/')
    const { counters } = metrics.snapshot()
    const loaded = counters.sessions_loaded?.map(({ labels, value }) => [labels.outcome, value])
    expect(loaded?.[0]).toEqual(['found', 3])
    expect(loaded?.reduce((sum, [, value]) => sum + (value as number), 0)).toBe(4)
    expect(counters.sessions_touched?.[0]?.value).toBeGreaterThanOrEqual(1)
  })

  it('measures functions, sync and async, and hands on what they return or throw', async () => {
    expect(metrics.measure('sync', () => 41)).toBe(41)
    expect(await metrics.measure('async', async () => 42)).toBe(42)
    const boom = new Error('boom')
    expect(() =>
      metrics.measure('sync', () => {
        throw boom
      }),
    ).toThrow(boom)
    await expect(metrics.measure('async', () => Promise.reject(boom))).rejects.toBe(boom)
    expect(metrics.snapshot().measured).toMatchObject({
      sync: { calls: 2, ok: 1, errors: 1, successRate: 0.5 },
      async: { calls: 2, ok: 1, errors: 1, successRate: 0.5 },
    })
  })

  it('tells refused calls from those that were made, and counts no time for them', async () => {
    const absent = createRedisManager({ env: {}, logger: false })
    const own = createMetrics({ redis: absent })
    for (let i = 0; i < 10; i++)
      await absent.attempt(
        'read',
        async () => 1,
        () => 0,
      )
    expect(own.snapshot().operations.read).toMatchObject({ calls: 10, refused: 10, successRate: 0, p99Ms: 0 })
    await own.close()
    await absent.close()
  })

  it('stops counting when it is closed', async () => {
    await metrics.close()
    await metrics.close()
    expect(redis.listens('redis.call')).toBe(false)
    await redis.execute('after', (client) => client.ping())
    expect(metrics.snapshot().operations.after).toBeUndefined()
  })

  it('counts events of others, by the labels they name', async () => {
    const own = createMetrics({ redis, events: { 'data.corrupt': { name: 'broken', help: 'x', labels: ['problem'] } } })
    redis.emit('data.corrupt', { feature: 'cache', problem: 'magic' })
    expect(own.snapshot().counters.broken).toEqual([{ labels: { problem: 'magic' }, value: 1 }])
    await own.close()
  })

  it('keeps the times that outcomes carry in histograms of their own, by their outcome', () => {
    redis.emit('lock', { outcome: 'acquired', key: 'a', fence: 1, waitedMs: 20 })
    redis.emit('lock', { outcome: 'acquired', key: 'b', fence: 1, waitedMs: 0 })
    redis.emit('lock', { outcome: 'timeout', key: 'c', waitedMs: 5000 })
    redis.emit('lock', { outcome: 'lost', key: 'a', fence: 1, heldMs: 10_000, reason: 'expired' })
    redis.emit('queue.job', { queue: 'mail', id: '1', outcome: 'completed', durationMs: 30_000 })
    redis.emit('queue.job', { queue: 'mail', id: '2', outcome: 'dead', durationMs: 0 })
    const { times } = metrics.snapshot()
    expect(times.lock_wait).toMatchObject([
      { labels: { outcome: 'acquired' }, count: 2, maxMs: 20, meanMs: 10 },
      { labels: { outcome: 'timeout' }, count: 1, maxMs: 5000 },
    ])
    expect(times.lock_hold).toMatchObject([{ labels: { outcome: 'lost' }, count: 1, maxMs: 10_000 }])
    // An attempt whose duration is not known counts, and has none.
    expect(times.queue_attempt_duration).toMatchObject([{ labels: { queue: 'mail', outcome: 'completed' }, count: 1 }])
    const [exported] = metrics.families().flatMap(({ name, samples }) => {
      return name === 'holdfast_queue_attempt_duration_seconds' ? (samples as HistogramSample[]) : []
    })
    expect(exported).toMatchObject({ count: 1, sum: 30 })
    const buckets = new Map(exported?.buckets)
    expect([buckets.get(25), buckets.get(50)]).toEqual([0, 1])
  })

  it('counts and times the outcomes of services that know nothing of it', async () => {
    const locks = createLocks({ redis })
    await locks.withLock('report', '10s', () => new Promise((resolve) => setTimeout(resolve, 20)))
    await locks.close()
    const board = createLeaderboard('chess', { redis })
    await board.add('ada', 10)
    await board.rankOf('nobody')
    const preferences = createPreferences({ redis, defaults: { theme: 'light' } })
    await preferences.get('ada', 'theme')
    await preferences.set('ada', 'theme', 'dark')
    await preferences.close()
    const usage = createUsage({ redis })
    for (let i = 0; i < 5; i++) usage.track('ada', 'list')
    await usage.close()
    const { counters, times } = metrics.snapshot()
    const counted = (name: string) =>
      counters[name]?.flatMap(({ labels, value }) => (value > 0 ? [[...Object.values(labels), value]] : []))
    expect(counted('lock_outcomes')).toEqual([
      ['acquired', '', 1],
      ['released', '', 1],
    ])
    expect(counted('leaderboard_operations')).toEqual([
      ['chess', 'add', 'done', 1],
      ['chess', 'rank', 'absent', 1],
    ])
    expect(counted('preferences_operations')).toContainEqual(['default', 'write', 'written', 1])
    expect(counted('usage_calls')).toEqual([['written', 5]])
    expect(times.lock_hold?.[0]?.maxMs).toBeGreaterThanOrEqual(19)
    for (const name of ['lock_wait', 'leaderboard_operation_duration', 'preferences_operation_duration']) {
      expect(times[name]?.[0]?.count).toBeGreaterThan(0)
    }
    expect(times.usage_write_duration).toMatchObject([{ labels: { outcome: 'written' }, count: 1 }])
  })

  it('refuses options it does not know', () => {
    expect(() => createMetrics({ redis, flet: true } as never)).toThrow('createMetrics: "flet" is not an option')
    expect(() => createMetrics({ redis, fleet: { bucket: '1ms' } })).toThrow('createMetrics: fleet: "bucket" must be')
    expect(() => createMetrics({} as never)).toThrow('createMetrics: "redis" is required')
  })
})

describe('under hostile input', () => {
  it('keeps the same few series for 100,000 paths and users', () => {
    for (let i = 0; i < 100_000; i++) {
      redis.emit('limit.exceeded', {
        limiter: 'api',
        policy: 'burst',
        user: randomUUID(),
        path: `/${randomUUID()}`,
        retryAfterMs: 1,
        blocked: false,
        repeated: 0,
        shadow: false,
      })
    }
    expect(metrics.snapshot().counters.limit_exceeded).toEqual([
      { labels: { limiter: 'api', policy: 'burst', blocked: 'false', shadow: 'false' }, value: 100_000 },
    ])
  })

  it('counts the rest as other where names are built from requests, losing none', () => {
    for (let i = 0; i < 100_000; i++) {
      metrics.observe(`/orders/${i}`, 1)
      redis.emit('data.corrupt', { feature: `user-${i}`, problem: 'x' })
    }
    metrics.observe('x'.repeat(10_000), 1)
    const { measured, counters } = metrics.snapshot()
    expect(Object.keys(measured).length).toBeLessThanOrEqual(201)
    expect(measured.other?.calls).toBe(100_001 - 200)
    expect(counters.data_corrupt?.length).toBeLessThanOrEqual(101)
    expect(counters.data_corrupt?.reduce((sum, { value }) => sum + value, 0)).toBe(100_000)
    const series = metrics.families().reduce((sum, { samples }) => sum + samples.length, 0)
    expect(series).toBeLessThan(1000)
  })

  it('takes names of built-in properties for names', () => {
    for (const name of ['__proto__', 'constructor', 'toString', '']) metrics.observe(name, 1)
    expect(Object.keys(metrics.snapshot().measured).sort()).toEqual(['', '__proto__', 'constructor', 'toString'])
  })
})

describe('the fleet', () => {
  const minute = 60_000
  const start = 1_800_000_000_000

  const process = (now: () => number) => createMetrics({ redis, fleet: { bucket: '1m', keep: '1h' }, now })

  it('adds up the operations of all processes, by time bucket', async () => {
    let now = start
    const [one, two] = [process(() => now), process(() => now)]
    for (let i = 0; i < 10; i++) one.observe('checkout', 10)
    for (let i = 0; i < 10; i++) two.observe('checkout', 1000, i === 0 ? 'error' : 'ok')
    now += minute
    one.observe('checkout', 20)
    expect(await one.flush()).toBe(true)
    expect(await two.flush()).toBe(true)
    const fleet = await two.fleet('10m')
    expect(fleet.processes).toBe(2)
    expect(fleet.operations.checkout).toMatchObject({ calls: 21, ok: 20, errors: 1 })
    expect(fleet.operations.checkout?.p50Ms).toBeLessThan(25)
    expect(fleet.operations.checkout?.p95Ms).toBeGreaterThan(900)
    expect(fleet.buckets.map(({ at, operations }) => [at.getTime(), operations.checkout?.calls])).toEqual([
      [start, 20],
      [start + minute, 1],
    ])
    await Promise.all([one.close(), two.close()])
  })

  it('counts nothing twice, however often a process writes', async () => {
    const own = process(() => start)
    own.observe('checkout', 10)
    await own.flush()
    own.observe('checkout', 10)
    await Promise.all([own.flush(), own.flush(), own.flush()])
    expect((await own.fleet('1m')).operations.checkout?.calls).toBe(2)
    await own.close()
  })

  it('keeps what it could not write through an outage, for a bounded time, and says what it lost', async () => {
    let now = start
    const own = process(() => now)
    await server.kill()
    await eventually(() => !redis.available)
    for (let i = 0; i < 30; i++) {
      own.observe('checkout', 10)
      now += minute
    }
    expect(await own.flush()).toBe(false)
    await server.restart()
    await eventually(() => redis.available)
    expect(await own.flush()).toBe(true)
    const lost = own.families().find(({ name }) => name === 'holdfast_metrics_fleet_lost_total')?.samples[0] as {
      value: number
    }
    expect(lost.value).toBeGreaterThan(0)
    // The refused write is a call of its own, in a bucket of its own.
    const kept = (await own.fleet('1h')).operations.checkout?.calls ?? 0
    expect(kept).toBeGreaterThanOrEqual(30 - lost.value)
    expect(kept).toBeLessThan(20)
    await own.close()
  })

  it('leaves no key without an end', async () => {
    const own = process(() => start)
    own.observe('checkout', 10)
    await own.flush()
    const admin = server.client()
    for (const key of await admin.keys('*')) expect(await admin.pttl(key)).toBeGreaterThan(0)
    expect(await admin.keys('*:metrics:*')).toHaveLength(1)
    await own.close()
  })

  it('takes foreign bytes for absent and says so', async () => {
    const own = process(() => start)
    const corrupt: string[] = []
    redis.on('data.corrupt', ({ feature }) => void corrupt.push(feature))
    await server
      .client()
      .hset(redis.keys.key('metrics', start), 'nonsense', '1', 'x:checkout', '[[]]', 'y:checkout', '[1,0,0,0,5,5,20,1]')
    expect((await own.fleet('1m')).operations.checkout?.calls).toBe(1)
    expect(corrupt).toEqual(['metrics', 'metrics'])
    await own.close()
  })

  it('is asked for, else refused with a code', async () => {
    await expect(metrics.fleet()).rejects.toMatchObject({ code: 'ERR_HOLDFAST_NO_FLEET' })
    expect(await metrics.flush()).toBe(true)
  })
})
