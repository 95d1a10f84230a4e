import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import type { RedisManager } from '../../src/redis/index.js'
import { createUsage, type Usage } from '../../src/usage/index.js'
import { closeAll, ready } from '../redis/support.js'
import { eventually } from '../support/eventually.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'

/** Far ahead: Redis expires by its own clock what is past. */
const NOON = Date.parse('2096-11-21T12:00:30Z')
const HOUR = 3_600_000
const DAY = 24 * HOUR
const refused = { code: 'ERR_HOLDFAST_USAGE_VALUE' }

let server: RedisServer
let redis: RedisManager
let usage: Usage
const clock = { at: NOON }
const now = (): number => clock.at

beforeAll(async () => {
  server = await startRedis()
})
beforeEach(async () => {
  clock.at = NOON
  ;({ redis } = await ready({ url: server.url, commandTimeout: '1s' }))
  await server.client().flushall()
  usage = createUsage({ redis, now, flushInterval: '1m' })
})
afterEach(async () => {
  await usage.close()
  await closeAll()
})
afterAll(() => server.stop())

const counts = async (query: Parameters<Usage['report']>[0]): Promise<Record<string, number>> =>
  Object.fromEntries((await usage.report(query)).rows.map(({ key, calls }) => [key, calls]))

describe('reports', () => {
  it('add up calls, costs, errors and durations by operation', async () => {
    usage.track('ann', 'search', { cost: 3, durationMs: 10 })
    usage.track('bob', 'search', { cost: 2, durationMs: 30, failed: true })
    usage.track('ann', 'export', { cost: 0.5, durationMs: 5.25 })
    usage.track(undefined, 'home')
    await usage.flush()
    const report = await usage.report({ from: NOON - HOUR })
    expect(report.rows).toEqual([
      { key: 'search', calls: 2, cost: 5, errors: 1, durationMs: 40, averageMs: 20 },
      { key: 'home', calls: 1, cost: 1, errors: 0, durationMs: 0, averageMs: 0 },
      { key: 'export', calls: 1, cost: 0.5, errors: 0, durationMs: 5.25, averageMs: 5.25 },
    ])
    expect(report.total).toMatchObject({ calls: 4, cost: 6.5, errors: 1 })
    expect(report.granularity).toBe('minute')
    expect(await counts({ from: NOON - HOUR, user: 'ann' })).toEqual({ search: 1, export: 1 })
    expect(await counts({ from: NOON - HOUR, operation: 'home' })).toEqual({ home: 1 })
  })

  it.each(['minute', 'hour', 'day'] as const)('have every %s, those without calls too', async (granularity) => {
    const size = { minute: 60_000, hour: HOUR, day: DAY }[granularity]
    for (const ago of [3, 1, 1, 0]) {
      clock.at = NOON - ago * size
      usage.track('ann', 'search')
    }
    clock.at = NOON
    await usage.flush()
    const report = await usage.report({ from: NOON - 3 * size, to: NOON + 1, groupBy: 'time', granularity })
    expect(report.rows.map(({ calls }) => calls)).toEqual([1, 0, 2, 1])
    expect(report.from.getTime()).toBe(Math.floor((NOON - 3 * size) / size) * size)
    expect(report.rows[0]?.key).toBe(report.from.toISOString())
  })

  it('exclude what is outside of their range', async () => {
    for (const ago of [49, 48, 1]) {
      clock.at = NOON - ago * HOUR
      usage.track('ann', `${ago} hours ago`)
    }
    clock.at = NOON
    await usage.flush()
    expect(await counts({ from: NOON - 48 * HOUR, to: NOON - HOUR, granularity: 'hour' })).toEqual({
      '48 hours ago': 1,
      '1 hours ago': 1,
    })
    expect(await counts({ from: NOON - 48 * HOUR, to: NOON - 2 * HOUR, granularity: 'hour' })).toEqual({
      '48 hours ago': 1,
    })
  })

  it('rank users by cost', async () => {
    for (let i = 1; i <= 30; i++) usage.track(`user ${i}`, 'search', { cost: i })
    usage.track('user 1', 'export', { cost: 100 })
    await usage.flush()
    const { rows } = await usage.report({ from: NOON - DAY, groupBy: 'user', limit: 3 })
    expect(rows.map(({ key, calls, cost }) => [key, calls, cost])).toEqual([
      ['user 1', 2, 101],
      ['user 30', 1, 30],
      ['user 29', 1, 29],
    ])
  })

  it('count unique callers, however often they call', async () => {
    for (let i = 0; i < 300; i++) usage.track(`user ${i % 100}`, i % 2 ? 'a' : 'b')
    usage.track(undefined, 'a')
    await usage.flush()
    const { rows, total } = await usage.report({ from: NOON - HOUR, callers: true })
    expect(total.callers).toBeGreaterThan(95)
    expect(total.callers).toBeLessThan(105)
    for (const { callers } of rows) expect(Math.abs((callers as number) - 50)).toBeLessThan(5)
    const byTime = await usage.report({ from: NOON - DAY, granularity: 'day', groupBy: 'time', callers: true })
    expect(byTime.rows.at(-1)?.callers).toBe(total.callers)
  })

  it('come from all processes', async () => {
    const other = createUsage({ redis: (await ready({ url: server.url })).redis, now })
    for (let i = 0; i < 50; i++) (i % 2 ? usage : other).track('ann', 'search')
    await Promise.all([usage.flush(), other.flush()])
    expect(await counts({ from: NOON - HOUR })).toEqual({ search: 50 })
    await other.close()
  })
})

it('is written by itself, in one command for many calls', async () => {
  const brisk = createUsage({ redis, now, flushInterval: '20ms' })
  await server.client().config('RESETSTAT')
  for (let i = 0; i < 5000; i++) brisk.track(`user ${i % 10}`, 'search')
  await eventually(() => brisk.stats().pending === 0)
  expect(brisk.stats()).toEqual({ tracked: 5000, flushed: 5000, dropped: 0, invalid: 0, pending: 0 })
  const [, calls] = /cmdstat_evalsha:calls=(\d+)/.exec(await server.client().info('commandstats')) ?? []
  expect(Number(calls)).toBeLessThan(10)
  await brisk.close()
})

it('keeps minutes, hours and days as long as it should: every key expires', async () => {
  usage.track('ann', 'search')
  await usage.flush()
  const keys = await server.client().keys('*')
  expect(keys.length).toBeGreaterThan(10)
  for (const key of keys) {
    const expiresAt = Date.now() + (await server.client().pttl(key))
    if (key.includes(':writes:')) continue
    const [, granularity] = /:(minute|hour|day):/.exec(key) ?? [undefined, 'seen']
    const expected = {
      minute: Date.parse('2096-11-21T13:00:00Z') + 3 * HOUR,
      hour: Date.parse('2096-11-22T00:00:00Z') + 8 * DAY,
      day: Date.parse('2096-12-01T00:00:00Z') + 400 * DAY,
      seen: NOON + 400 * DAY,
    }[granularity as 'minute']
    expect([key, Math.abs(expiresAt - expected) < 10_000]).toEqual([key, true])
  }
})

it('shows the activity of a user', async () => {
  for (const hoursAgo of [50, 26, 2, 2, 0]) {
    clock.at = NOON - hoursAgo * HOUR
    usage.track('ann', hoursAgo ? 'search' : 'export')
    await usage.flush()
  }
  clock.at = NOON - 10 * HOUR
  usage.track('ann', 'late')
  await usage.flush()
  clock.at = NOON
  const activity = await usage.activity('ann', 7)
  expect(activity.firstSeen).toEqual(new Date('2096-11-19T10:00:00Z'))
  expect(activity.lastSeen).toEqual(new Date(NOON))
  expect(activity.days.map(({ calls }) => calls)).toEqual([0, 0, 0, 0, 1, 1, 4])
  expect(activity.operations.map(({ key, calls }) => [key, calls])).toEqual([
    ['search', 4],
    ['export', 1],
    ['late', 1],
  ])
  expect(activity.hours[10]).toBe(4)
  expect(activity.hours[12]).toBe(1)
  expect(await usage.activity('nobody')).toMatchObject({ firstSeen: undefined, lastSeen: undefined, operations: [] })
})

it('erases what is stored of a user, and nothing of others', async () => {
  for (const user of ['ann', 'bob']) {
    for (const ago of [0, DAY, 100 * DAY]) {
      clock.at = NOON - ago
      usage.track(user, 'search')
    }
  }
  clock.at = NOON
  await usage.flush()
  usage.track('ann', 'search')
  await usage.erase('ann')
  expect((await server.client().keys('*')).filter((key) => key.includes('ann'))).toEqual([])
  for (const granularity of ['hour', 'day'] as const) {
    const { rows } = await usage.report({ from: NOON - 2 * DAY, groupBy: 'user', granularity })
    expect(rows.map(({ key }) => key)).toEqual(['bob'])
  }
  expect((await usage.activity('ann')).lastSeen).toBeUndefined()
  expect((await usage.activity('bob')).operations).toMatchObject([{ key: 'search', calls: 2 }])
})

describe('a quota', () => {
  interface Req {
    readonly user?: string
    readonly plan?: number
  }

  it.each([
    ['hour', 2],
    ['day', 5],
    ['month', 9],
  ] as const)('counts the cost of this %s', async (per, expected) => {
    for (const [ago, cost] of [
      [0, 2],
      [5 * HOUR, 3],
      [3 * DAY, 4],
      [25 * DAY, 100],
    ] as const) {
      clock.at = NOON - ago
      usage.track('ann', ago ? 'search' : 'export', { cost })
    }
    clock.at = NOON
    await usage.flush()
    const quota = usage.quota<Req>({ user: (req) => req.user, limit: (req) => req.plan ?? 0, per })
    expect(await quota.used('ann')).toBe(expected)
    expect(await quota.within({ user: 'ann', plan: expected })).toBe(false)
    expect(await quota.within({ user: 'ann', plan: expected + 1 })).toBe(true)
    expect(await quota.within({})).toBe(true)
    expect(await quota.limit(100, 5)({ user: 'ann', plan: 1 })).toBe(5)
    expect(await quota.limit(100, 5)({ user: 'bob', plan: 1 })).toBe(100)
  })

  it('asks Redis once per user and while, for all who ask at the same time', async () => {
    const quota = usage.quota<Req>({ user: (req) => req.user, limit: 1, freshFor: '10s' })
    await server.client().config('RESETSTAT')
    await Promise.all(Array.from({ length: 50 }, () => quota.within({ user: 'ann' })))
    expect(await server.client().info('commandstats')).toMatch(/cmdstat_hmget:calls=1,/)
    usage.track('ann', 'search')
    await usage.flush()
    expect(await quota.within({ user: 'ann' })).toBe(true)
    clock.at += 10_000
    expect(await quota.within({ user: 'ann' })).toBe(false)
  })
})

describe('bad input', () => {
  it('to track is not counted, but told of, and never thrown', async () => {
    const bad: [unknown, unknown, object?][] = [
      ['ann', ''],
      ['ann', undefined],
      ['', 'search'],
      ['x'.repeat(257), 'search'],
      [{}, 'search'],
      ['ann', 'search', { cost: -1 }],
      ['ann', 'search', { cost: Number.NaN }],
      ['ann', 'search', { durationMs: Number.POSITIVE_INFINITY }],
    ]
    for (const [user, operation, details] of bad) usage.track(user as string, operation as string, details)
    expect(usage.stats()).toMatchObject({ tracked: 0, invalid: bad.length })
  })

  it('with separators, globs, line breaks and prototypes is counted as it is', async () => {
    const names = ['a|b', '{x}', '*', '__proto__', 'constructor', 'x:y', 'ü€', '|n|', 'a\\b']
    for (const name of names) usage.track(name, name)
    usage.track('a\r\nb', 'c\r\nd\0')
    usage.track('\ud800', 'lone')
    await usage.flush()
    expect(await counts({ from: NOON - HOUR })).toEqual(
      Object.fromEntries([...names, 'c  d ', 'lone'].map((name) => [name, 1])),
    )
    for (const name of names)
      expect(await counts({ from: NOON - HOUR, user: name })).toEqual(Object.fromEntries([[name, 1]]))
    expect(await counts({ from: NOON - HOUR, user: 'a\r\nb' })).toEqual({ 'c  d ': 1 })
  })

  it('cannot make more operations than allowed: the rest are others', async () => {
    const few = createUsage({ redis, now, maxOperations: 3 })
    for (let i = 0; i < 10; i++) few.track('ann', `op ${i}`)
    await few.close()
    expect(await counts({ from: NOON - HOUR })).toEqual({ 'op 0': 1, 'op 1': 1, 'op 2': 1, other: 7 })
  })

  it('under a key, that is something else, costs the counts of that key and no others', async () => {
    const key = 'holdfast:usage:{default/0}:all:hour:2096-11-21'
    await server.client().set(key, 'mine')
    const problems: string[] = []
    redis.on('data.corrupt', ({ problem }) => problems.push(problem))
    usage.track('ann', 'search')
    expect(await usage.flush()).toBe(true)
    expect(problems).toHaveLength(1)
    expect(await server.client().get(key)).toBe('mine')
    expect(await counts({ from: NOON - HOUR, granularity: 'hour' })).toEqual({})
    expect(await counts({ from: NOON - HOUR, granularity: 'minute' })).toEqual({ search: 1 })
    await server
      .client()
      .hset('holdfast:usage:{default/0}:all:day:2096-11', 'x', '1', '21|n|bad', 'NaN', '99|n|bad', '1')
    expect(await counts({ from: NOON - HOUR, granularity: 'day' })).toEqual({ search: 1 })
  })

  it.each<object>([
    {},
    { from: NOON, to: NOON },
    { from: new Date('no date') },
    { from: -1 },
    { from: 0, granularity: 'minute' },
    { from: NOON - DAY, groupBy: 'colour' },
    { from: NOON - DAY, granularity: 'week' },
    { from: NOON - DAY, user: '' },
    { from: NOON - DAY, user: 'ann', callers: true },
    { from: NOON - DAY, user: 'ann', groupBy: 'user' },
    { from: NOON - DAY, limit: 0 },
  ])('a report of %j is refused', async (query) => {
    await expect(usage.report(query as never)).rejects.toMatchObject(refused)
  })

  it.each<object>([
    {},
    { redis: {} },
    { maxPending: 0 },
    { retention: { minute: '1s' } },
    { retention: { week: '1w' } },
    { colour: 1 },
  ])('createUsage(%j) is a ConfigurationError', (options) => {
    const given = 'redis' in options || Object.keys(options).length === 0 ? options : { redis, ...options }
    expect(() => createUsage(given as never)).toThrow(expect.objectContaining({ code: 'ERR_HOLDFAST_CONFIG' }))
  })
})
