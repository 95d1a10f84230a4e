import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { type FreshnessPolicy, judge, timesOf } from '../../src/cache/freshness.js'
import { passing } from '../../src/cache/held.js'
import { MemoryFallback } from '../../src/cache/memory.js'

const policy: FreshnessPolicy = { refreshAhead: 0.2, staleWhileRevalidateMs: 100, staleIfErrorMs: 500, xfetch: 0 }
const times = { createdAt: 0, freshUntil: 1000, staleUntil: 1500 }
const never = () => {
  throw new Error('not to be asked')
}

describe('freshness', () => {
  it.each([
    [0, 'fresh'],
    [799, 'fresh'],
    [800, 'early'],
    [999, 'early'],
    [1000, 'stale'],
    [1099, 'stale'],
    [1100, 'rescue'],
    [1499, 'rescue'],
    [1500, 'expired'],
  ])('at %i of a thousand is %s', (now, verdict) => {
    expect(judge(times, policy, now, 0, never)).toBe(verdict)
  })

  it('serves stale for no longer than the entry allows, whatever the reader would take', () => {
    expect(judge({ ...times, staleUntil: 1000 }, policy, 1000, 0, never)).toBe('expired')
    expect(judge(times, { ...policy, staleWhileRevalidateMs: 0, staleIfErrorMs: 0 }, 1000, 0, never)).toBe('expired')
  })

  it('by XFetch renews the sooner the dearer, and never a value that costs nothing', () => {
    const xfetch = { ...policy, refreshAhead: 0, xfetch: 1 }
    const early = (now: number, costMs: number) => {
      let count = 0
      for (let i = 1; i <= 1000; i++) if (judge(times, xfetch, now, costMs, () => i / 1000) === 'early') count++
      return count / 1000
    }
    expect(early(500, 0)).toBe(0)
    // The chance is exp(-left / cost).
    expect(early(500, 500)).toBeCloseTo(Math.exp(-1), 2)
    expect(early(900, 100)).toBeCloseTo(Math.exp(-1), 2)
    expect(early(900, 500)).toBeGreaterThan(early(900, 100))
  })

  it('ends a value within its ttl, at most the jitter earlier', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1e9 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (ttl, jitter, random) => {
          const { createdAt, freshUntil, staleUntil } = timesOf(ttl, policy, jitter, 5000, () => random)
          expect(createdAt).toBe(5000)
          expect(freshUntil - createdAt).toBeLessThanOrEqual(ttl)
          expect(freshUntil - createdAt).toBeGreaterThanOrEqual(Math.max(1, Math.floor(ttl * (1 - jitter))))
          expect(staleUntil - freshUntil).toBeCloseTo(500)
        },
      ),
    )
  })
})

describe('the fallback in memory', () => {
  it('stays within its bytes, the oldest going first', () => {
    const memory = new MemoryFallback(10_000)
    for (let i = 0; i < 100; i++) memory.set(`k${i}`, passing(i), 700, 1000)
    const kept = Array.from({ length: 100 }, (_, i) => memory.get(`k${i}`, 0)).filter((held) => held !== undefined)
    expect(kept.map((held) => held.take())).toEqual([91, 92, 93, 94, 95, 96, 97, 98, 99])
    memory.set('huge', passing(0), 20_000, 1000)
    expect(memory.get('huge', 0)).toBeUndefined()
    expect(memory.get('k99', 1000)).toBeUndefined()
  })
})
