import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { AlertBook, type Notice } from '../../src/ops/monitor/book.js'
import { isBad, levelsOf } from '../../src/ops/monitor/levels.js'
import { readingsOf, type Sample } from '../../src/ops/monitor/readings.js'
import type { RedisStats } from '../../src/redis/index.js'
import { parseInfo } from '../../src/redis/info.js'

const now = new Date(0)

function watch(book: AlertBook, values: readonly boolean[]): Notice[] {
  return values.flatMap((bad) => {
    const observed = { condition: 'memory' as const, bad, message: 'm', value: 1, threshold: 1 }
    return book.observe(observed, now) ?? []
  })
}

describe('the book of alerts', () => {
  it('tells of a condition once until it clears, and once that it has', () => {
    const notices = watch(new AlertBook(2), [true, true, true, true, false, false, false])
    expect(notices.map(({ type }) => type)).toEqual(['raised', 'cleared'])
  })

  it('keeps silent about what flickers', () => {
    const flicker = Array.from({ length: 100 }, (_, index) => index % 2 === 0)
    expect(watch(new AlertBook(2), flicker)).toEqual([])
    expect(watch(new AlertBook(2), [true, true, ...flicker]).map(({ type }) => type)).toEqual(['raised'])
  })

  it('alternates between raised and cleared, whatever happens', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 200 }), fc.integer({ min: 1, max: 5 }), (values, samples) => {
        const types = watch(new AlertBook(samples), values).map(({ type }) => type)
        expect(types).toEqual(types.map((_, index) => (index % 2 === 0 ? 'raised' : 'cleared')))
      }),
    )
  })

  it('goes on with the alerts of another process without telling them again', () => {
    const first = new AlertBook(1)
    watch(first, [true])
    const second = new AlertBook(1)
    second.replace(first.standing)
    expect(watch(second, [true, true, false]).map(({ type }) => type)).toEqual(['cleared'])
  })
})

describe('levels', () => {
  it('raise at one edge and clear at another', () => {
    const level = { raise: 0.8, clear: 0.75 }
    expect(isBad('memory', 0.8, level, false)).toBe(false)
    expect(isBad('memory', 0.81, level, false)).toBe(true)
    expect(isBad('memory', 0.76, level, true)).toBe(true)
    expect(isBad('memory', 0.75, level, true)).toBe(false)
  })

  it('turn around where small values are bad', () => {
    const level = { raise: 0.8, clear: 0.85 }
    expect(isBad('hitRatio', 0.79, level, false)).toBe(true)
    expect(isBad('hitRatio', 0.82, level, true)).toBe(true)
    expect(isBad('hitRatio', 0.86, level, true)).toBe(false)
  })

  it('come from the user where given, and can be switched off', () => {
    const levels = levelsOf('m', { memory: 0.5, evictions: false, latency: { raise: 10, clear: 5 } })
    expect(levels.get('memory')).toEqual({ raise: 0.5, clear: 0.45 })
    expect(levels.get('latency')).toEqual({ raise: 10, clear: 5 })
    expect(levels.has('evictions')).toBe(false)
    expect(levels.has('hitRatio')).toBe(true)
  })

  it('are checked', () => {
    expect(() => levelsOf('m', { memory: -1 })).toThrow('m: "memory" must be')
    expect(() => levelsOf('m', { memry: 1 } as never)).toThrow('m: "memry" is not an option')
    expect(() => levelsOf('m', { memory: { raise: 1 } } as never)).toThrow('m: "memory" must be')
  })
})

describe('readings', () => {
  const sample = (at: number, info: string, rest: Partial<RedisStats['totals']> = {}): Sample => {
    const server = parseInfo(info)
    const { traffic, memory, keys } = server
    const totals = {
      keys,
      usedBytes: memory.usedBytes ?? 0,
      operationsPerSecond: 0,
      connectedClients: 0,
      evictedKeys: traffic.evictedKeys ?? 0,
      rejectedConnections: traffic.rejectedConnections ?? 0,
      hitRatio: undefined,
      usedRatio: memory.usedRatio,
      ...rest,
    }
    return { at, latencyMs: 1, stats: { at: new Date(at), servers: [server], totals, slowCalls: [], unavailable: [] } }
  }

  it('are differences of two looks where Redis counts from its start', () => {
    const before = sample(0, 'keyspace_hits:1000\nkeyspace_misses:1000\nevicted_keys:50\nrejected_connections:3')
    const after = sample(10_000, 'keyspace_hits:1090\nkeyspace_misses:1110\nevicted_keys:150\nrejected_connections:5')
    const readings = readingsOf(after, before, undefined)
    expect(readings.hitRatio).toBe(0.45)
    expect(readings.evictions).toBe(10)
    expect(readings.rejectedConnections).toBe(2)
    expect(readingsOf(after, undefined, undefined).evictions).toBeUndefined()
  })

  it('mean nothing after a restart, nor with few lookups', () => {
    const before = sample(0, 'keyspace_hits:1000\nkeyspace_misses:1000\nevicted_keys:50')
    const restarted = sample(10_000, 'keyspace_hits:5\nkeyspace_misses:500\nevicted_keys:0')
    expect(readingsOf(restarted, before, undefined)).toMatchObject({ hitRatio: undefined, evictions: undefined })
    const idle = sample(10_000, 'keyspace_hits:1000\nkeyspace_misses:1010\nevicted_keys:50')
    expect(readingsOf(idle, before, undefined).hitRatio).toBeUndefined()
  })

  it('take fragmentation seriously in servers that are large enough', () => {
    expect(
      readingsOf(sample(0, 'used_memory:1000000\nmem_fragmentation_ratio:9'), undefined, undefined).fragmentation,
    ).toBeUndefined()
    expect(
      readingsOf(sample(0, 'used_memory:200000000\nmem_fragmentation_ratio:2'), undefined, undefined).fragmentation,
    ).toBe(2)
  })

  it('compare keys with the fewest of the last hour', () => {
    expect(readingsOf(sample(0, '', { keys: 30_000 }), undefined, 10_000).keyGrowth).toBe(2)
    expect(readingsOf(sample(0, '', { keys: 300 }), undefined, 10).keyGrowth).toBe(0)
    expect(readingsOf(sample(0, '', { keys: 30_000 }), undefined, undefined).keyGrowth).toBe(0)
  })

  it('count slow calls that the look before had not seen', () => {
    const call = (id: number, at: number) => ({ id, at: new Date(at), microseconds: 20_000, command: 'keys' })
    const before = sample(0, '')
    const after = sample(60_000, '')
    const seen = { ...before, stats: { ...before.stats, slowCalls: [call(2, 5000), call(1, 4000)] } }
    const grown = { ...after, stats: { ...after.stats, slowCalls: [call(4, 50_000), call(3, 40_000), call(2, 5000)] } }
    expect(readingsOf(grown, seen, undefined).slowCalls).toBe(2)
    expect(readingsOf(seen, seen, undefined).slowCalls).toBe(0)
  })
})
