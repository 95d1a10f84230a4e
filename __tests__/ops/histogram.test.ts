import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { decodeOperation, encodeOperation } from '../../src/ops/metrics/encoding.js'
import { BOUNDS_MS, BUCKETS, bucketOf, Histogram } from '../../src/ops/metrics/histogram.js'
import { Operation } from '../../src/ops/metrics/operations.js'

const times = fc.array(fc.double({ min: 0.011, max: 90_000, noNaN: true }), { minLength: 1, maxLength: 300 })

function filled(list: readonly number[]): Histogram {
  const histogram = new Histogram()
  for (const ms of list) histogram.record(ms)
  return histogram
}

describe('the histogram', () => {
  it('has ascending bounds, about 12 % apart, with 1, 2.5 and 5 of every decade among them', () => {
    for (const [index, bound] of BOUNDS_MS.entries()) {
      const below = BOUNDS_MS[index - 1]
      if (below === undefined) continue
      expect(bound / below).toBeGreaterThan(1.09)
      expect(bound / below).toBeLessThan(1.16)
    }
    for (const nice of [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 1000, 10_000]) expect(BOUNDS_MS).toContain(nice)
  })

  it('puts every time into the first bucket whose bound it does not pass', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1e6, noNaN: true }), (ms) => {
        const bucket = bucketOf(ms)
        expect(bucket).toBeLessThan(BUCKETS)
        expect(ms <= (BOUNDS_MS[bucket] ?? Number.POSITIVE_INFINITY)).toBe(true)
        if (bucket > 0) expect(ms).toBeGreaterThan(BOUNDS_MS[bucket - 1] as number)
      }),
    )
  })

  it.each([0.5, 0.95, 0.99])('estimates the quantile %d within a bucket of the true one', (q) => {
    fc.assert(
      fc.property(times, (list) => {
        const sorted = [...list].sort((a, b) => a - b)
        const exact = sorted[Math.ceil(q * sorted.length) - 1] as number
        const estimate = filled(list).quantile(q)
        expect(bucketOf(estimate * 0.999_999)).toBeLessThanOrEqual(bucketOf(exact))
        expect(estimate).toBeGreaterThan(exact / 1.16)
      }),
    )
  })

  it('adds up to the histogram of all times, also through its text form', () => {
    fc.assert(
      fc.property(times, times, (some, others) => {
        const sent = new Operation()
        for (const ms of others) sent.record('ok', ms)
        const sum = filled(some)
        sum.add((decodeOperation(encodeOperation(sent)) as Operation).times)
        expect([...sum.counts]).toEqual([...filled([...some, ...others]).counts])
        expect(sum.count).toBe(some.length + others.length)
      }),
    )
  })

  it('takes times that are none for 0', () => {
    const histogram = filled([Number.NaN, -1, Number.POSITIVE_INFINITY])
    expect(histogram.quantile(0.99)).toBe(0)
    expect(histogram.sumMs).toBe(0)
  })

  it.each(['', 'null', '{}', '[1]', '[1,2,3,4,5,6,7]', '[1,1,1,1,1,1,999,1]', '[1,1,1,1,1,1,-1,1]', '[1,1,1,1,1,"x"]'])(
    'refuses foreign bytes: %s',
    (text) => {
      expect(decodeOperation(text)).toBeUndefined()
    },
  )
})
