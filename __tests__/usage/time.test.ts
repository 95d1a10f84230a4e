import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { Tallies } from '../../src/usage/tally.js'
import {
  bucketAt,
  bucketOf,
  bucketsBetween,
  digitsOf,
  GRANULARITIES,
  periodEnd,
  periodOf,
  periodsBetween,
} from '../../src/usage/time.js'

const at = fc.integer({ min: Date.UTC(2000, 0), max: Date.UTC(2100, 0) })
const granularity = fc.constantFrom(...GRANULARITIES)

describe('buckets', () => {
  it('are found again by the names they are stored under', () => {
    fc.assert(
      fc.property(granularity, at, (each, time) => {
        expect(bucketAt(each, periodOf(each, time), digitsOf(each, time))).toBe(bucketOf(each, time))
      }),
    )
  })

  it('lie in their period, which ends after them', () => {
    fc.assert(
      fc.property(granularity, at, (each, time) => {
        const end = periodEnd(each, time)
        expect(end).toBeGreaterThan(time)
        expect(periodOf(each, end - 1)).toBe(periodOf(each, time))
        expect(periodOf(each, end)).not.toBe(periodOf(each, time))
      }),
    )
  })

  it('of a range are all in its periods', () => {
    fc.assert(
      fc.property(granularity, at, fc.integer({ min: 1, max: 40 * 86_400_000 }), (each, from, length) => {
        const to = from + Math.min(length, each === 'minute' ? 86_400_000 : length)
        const buckets = bucketsBetween(each, from, to)
        const periods = periodsBetween(each, buckets[0] as number, to)
        expect([...new Set(buckets.map((bucket) => periodOf(each, bucket)))]).toEqual(periods)
      }),
    )
  })
})

describe('tallies', () => {
  const call = (user: string | undefined, operation = 'GET /', time = 0) => ({
    at: time,
    operation,
    user,
    cost: 2,
    durationMs: 3,
    failed: false,
  })

  it('join the calls of one minute, operation and user', () => {
    const tallies = new Tallies(10)
    for (const time of [0, 1, 59_999, 60_000]) tallies.add(call('ann', 'GET /', time))
    expect(tallies.take(10, () => true)).toMatchObject([
      { minute: 0, calls: 3, cost: 6, durationMs: 9, lastAt: 59_999 },
      { minute: 60_000, calls: 1 },
    ])
    expect(tallies.size).toBe(0)
  })

  it('never take one user for another, nor nobody for a user', () => {
    const tallies = new Tallies(10)
    for (const user of [undefined, '', 'u', 'a\0b', 'a']) tallies.add(call(user))
    expect(tallies.size).toBe(5)
  })

  it('are bounded: new combinations are dropped and counted, known ones go on', () => {
    const tallies = new Tallies(2)
    for (const user of ['a', 'b', 'c', 'a', 'd']) tallies.add(call(user))
    expect([tallies.size, tallies.dropped]).toEqual([2, 2])
    expect(tallies.take(1, ({ user }) => user === 'a')).toMatchObject([{ calls: 2 }])
  })
})
