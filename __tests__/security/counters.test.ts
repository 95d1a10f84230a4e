import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { createRedisManager, type RedisManager } from '../../src/redis/index.js'
import { type Asked, createLocalCounters } from '../../src/security/counters.js'
import type { Measure, Reading } from '../../src/security/detectors/detector.js'
import { createDigest } from '../../src/security/digest.js'
import { counterKey, createRedisCounters } from '../../src/security/redis-counters.js'
import { eventually } from '../support/eventually.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'

const digest = createDigest('a key for tests only')
let server: RedisServer
let redis: RedisManager

beforeAll(async () => {
  server = await startRedis()
})
afterAll(() => server.stop())
beforeEach(async () => {
  await server.client().flushall()
  redis = createRedisManager({ url: server.url, logger: false, commandTimeout: 1000 })
  await redis.ready()
})
afterEach(() => redis.close())

const plain = ({ count, added, entries, series }: Reading): unknown => ({ count, added, entries, series: [...series] })

describe('counters', () => {
  it('read the same in Redis and in memory, whatever is counted', async () => {
    const key = fc.constantFrom('a', 'b:{c}')
    const measure: fc.Arbitrary<Measure> = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({
          op: fc.constant('add' as const),
          key,
          member: fc.constantFrom('x', 'y', 'z', 'é|1', ''),
          window: fc.constantFrom(1000, 5000),
          cap: fc.constantFrom(2, 50),
          entries: fc.boolean(),
        }),
      },
      {
        weight: 2,
        arbitrary: fc.record({
          op: fc.constant('read' as const),
          key,
          window: fc.constantFrom(1000, 5000),
          entries: fc.boolean(),
        }),
      },
      { weight: 1, arbitrary: fc.record({ op: fc.constant('clear' as const), key, window: fc.constant(1000) }) },
      {
        weight: 2,
        arbitrary: fc.record({
          op: fc.constant('tally' as const),
          key: fc.constant('series'),
          fields: fc.constantFrom(['ok'], ['fail', 'unknown']),
          bucket: fc.constant(1000),
          buckets: fc.constant(3),
        }),
      },
    )
    const steps = fc.array(fc.record({ measure, wait: fc.integer({ min: 0, max: 900 }) }), { maxLength: 40 })
    let run = 0
    await fc.assert(
      fc.asyncProperty(steps, async (given) => {
        run++
        const real = createRedisCounters({ redis, digest, maxKeys: 1000 })
        const local = createLocalCounters()
        let at = Date.now()
        for (const { measure: each, wait } of given) {
          at += wait
          const asked: Asked[] = [{ measure: { ...each, key: `${run}:${each.key}` }, at }]
          const [fromRedis] = await real.apply(asked)
          const [fromMemory] = local.applyNow(asked)
          if (each.op === 'tally') {
            // Old buckets leave Redis just after, not before, the reply.
            const oldest = at - (at % 1000) - 3000
            const recent = (reading: Reading | undefined) =>
              [...(reading?.series ?? [])]
                .filter(([start]) => start > oldest)
                .sort((a, b) => a[0] - b[0])
                .map(([start, totals]) => [start, { ...totals }])
            expect(recent(fromRedis)).toEqual(recent(fromMemory))
          } else expect(plain(fromRedis as Reading)).toEqual(plain(fromMemory as Reading))
        }
      }),
      { numRuns: 60 },
    )
  })

  it('slide: what is older than the window does not count, without a step at its edge', () => {
    const local = createLocalCounters()
    const add = (at: number) =>
      local.applyNow([{ at, measure: { op: 'add', key: 'k', member: `m${at}`, window: 1000 } }])[0]?.count
    expect([add(0), add(500), add(999), add(1000), add(1499), add(1500)]).toEqual([1, 2, 3, 3, 4, 4])
  })

  it('are shared by processes', async () => {
    const [one, two] = [
      createRedisCounters({ redis, digest, maxKeys: 10 }),
      createRedisCounters({ redis, digest, maxKeys: 10 }),
    ]
    const measure = (member: string): Asked[] => [
      { at: Date.now(), measure: { op: 'add', key: 'k', member, window: 60_000 } },
    ]
    await one.apply(measure('a'))
    expect((await two.apply(measure('b')))[0]?.count).toBe(2)
  })

  it('keep memory flat over a million addresses, here and in Redis', async () => {
    const local = createLocalCounters({ maxKeys: 1000 })
    for (let n = 0; n < 1_000_000; n++) {
      local.applyNow([{ at: n, measure: { op: 'add', key: `ip:${n}`, member: 'x', window: 1e9 } }])
    }
    expect(local.size).toBe(1000)
    const counters = createRedisCounters({ redis, digest, maxKeys: 500 })
    for (let n = 0; n < 40; n++) {
      const asked = Array.from(
        { length: 100 },
        (_, i): Asked => ({
          at: Date.now(),
          measure: { op: 'add', key: `ip:${n * 100 + i}`, member: 'x', window: 60_000 },
        }),
      )
      await counters.apply(asked)
    }
    expect(await server.client().dbsize()).toBe(500)
  }, 60_000)

  it('keep an active counter alive while strangers flood the rest', async () => {
    const counters = createRedisCounters({ redis, digest, maxKeys: 50 })
    const ask = (key: string, member: string): Asked => ({
      at: Date.now(),
      measure: { op: 'add', key, member, window: 60_000 },
    })
    let count = 0
    for (let n = 0; n < 40; n++) {
      const flood = Array.from({ length: 20 }, (_, i) => ask(`flood:${n}:${i}`, 'x'))
      count = (await counters.apply([ask('attacker', `try${n}`), ...flood]))[0]?.count ?? 0
    }
    expect(count).toBe(40)
  })

  it('bound one counter, however often it is moved', async () => {
    const counters = createRedisCounters({ redis, digest, maxKeys: 10 })
    const asked = Array.from(
      { length: 500 },
      (_, n): Asked => ({
        at: Date.now() + n,
        measure: { op: 'add', key: 'k', member: `m${n}`, window: 60_000, cap: 40 },
      }),
    )
    expect((await counters.apply(asked)).at(-1)?.count).toBe(40)
  })

  it('go on in memory without Redis, and are merged exactly on its return', async () => {
    const counters = createRedisCounters({ redis, digest, maxKeys: 100 })
    const add = async (member: string) =>
      (await counters.apply([{ at: Date.now(), measure: { op: 'add', key: 'k', member, window: 600_000 } }]))[0]?.count
    expect(await add('a')).toBe(1)
    server.pause()
    for (const member of ['b', 'c', 'b', 'd']) await add(member)
    await eventually(
      async () => {
        await add('e')
        return !redis.available
      },
      { within: 10_000 },
    )
    expect(await add('f')).toBeGreaterThanOrEqual(1)
    server.resume()
    await eventually(() => redis.available, { within: 5000 })
    expect(await add('g')).toBe(7)
  })

  it('treat foreign bytes under their keys as nothing', async () => {
    const counters = createRedisCounters({ redis, digest, maxKeys: 100 })
    await server.client().set(counterKey(redis, digest, 'k'), 'not a set')
    await server.client().hset(counterKey(redis, digest, 's'), '__proto__', '1', 'x:y', '2', '5', '3')
    const readings = await counters.apply([
      { at: 1, measure: { op: 'add', key: 'k', member: 'm', window: 1000, entries: true } },
      { at: 1, measure: { op: 'tally', key: 's', fields: ['ok'], bucket: 10, buckets: 3 } },
    ])
    expect(readings[0]).toMatchObject({ count: 0, entries: [] })
    expect([...(readings[1]?.series ?? [])]).toEqual([[0, expect.objectContaining({ ok: 1 })]])
  })
})
