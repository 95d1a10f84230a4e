import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { elapsed, type Instant, longer, nextTtl, remaining } from '../../src/lock/tenure.js'
import { retryDelay } from '../../src/lock/waiting.js'

const at = (monotonic: number, wall = monotonic): Instant => ({ monotonic, wall })
const someTime = fc.integer({ min: 0, max: 10_000_000 })
const someTtl = fc.integer({ min: 50, max: 10_000_000 })

describe('the time a lock is certainly held', () => {
  it('counts from before the request, less the drift of the clocks', () => {
    expect(remaining({ from: at(1000), ttl: 10_000 }, at(1000))).toBe(10_000 - 102)
    expect(remaining({ from: at(1000), ttl: 10_000 }, at(10_900))).toBeLessThan(0)
  })

  it('is over after a sleep of the machine, which the monotonic clock does not see', () => {
    expect(remaining({ from: at(1000, 1000), ttl: 10_000 }, at(1001, 3_600_000))).toBeLessThan(0)
  })

  it('is not stretched by a wall clock that is set back', () => {
    expect(elapsed(at(1000, 1_000_000), at(6000, 500_000))).toBe(5000)
  })

  it('never exceeds what Redis granted, whatever the clocks say', () => {
    fc.assert(
      fc.property(someTtl, someTime, fc.integer({ min: -1_000_000, max: 1_000_000 }), (ttl, passed, skew) => {
        const left = remaining({ from: at(0, 0), ttl }, at(passed, passed + skew))
        expect(left).toBeLessThan(ttl - passed)
      }),
    )
  })

  it('is never shortened by an extension', () => {
    fc.assert(
      fc.property(someTtl, someTtl, someTime, (first, second, when) => {
        const tenure = { from: at(0), ttl: first }
        const now = at(when)
        expect(remaining(longer(tenure, { from: now, ttl: second }, now), now)).toBeGreaterThanOrEqual(
          remaining(tenure, now),
        )
      }),
    )
  })
})

describe('automatic extension', () => {
  it('never grants time beyond the longest hold, and adds something wherever it is done', () => {
    fc.assert(
      fc.property(someTtl, someTime, someTime, someTime, (ttl, heldFor, maxHold, left) => {
        const next = nextTtl(ttl, heldFor, maxHold, left)
        if (next === undefined) return
        expect(heldFor + next).toBeLessThanOrEqual(maxHold)
        expect(next).toBeLessThanOrEqual(ttl)
        expect(next).toBeGreaterThan(left)
      }),
    )
  })

  it('is off with a longest hold of 0', () => {
    expect(nextTtl(10_000, 3000, 0, 100)).toBeUndefined()
  })
})

describe('the wait between two attempts', () => {
  it('doubles up to 200 ms, is half random, and ends where the holder expires', () => {
    expect([0, 1, 2, 3, 4, 5, 20].map((tries) => retryDelay(tries, 10_000, () => 1))).toEqual([
      10, 20, 40, 80, 160, 200, 200,
    ])
    expect(retryDelay(5, 10_000, () => 0)).toBe(100)
    expect(retryDelay(5, 30, () => 1)).toBe(30)
    expect(retryDelay(5, 0, () => 1)).toBe(1)
  })
})
