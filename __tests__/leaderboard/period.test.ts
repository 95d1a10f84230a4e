import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { LONGEST, periodNamer } from '../../src/leaderboard/period.js'

const named = (period: 'daily' | 'weekly' | 'monthly', timeZone: string, at: string): string =>
  periodNamer(period, timeZone)(Date.parse(at))

describe('the period that holds a time', () => {
  it.each([
    ['daily', 'UTC', '2026-11-21T23:59:59.999Z', '2026-11-21'],
    ['daily', 'UTC', '2026-11-22T00:00:00.000Z', '2026-11-22'],
    ['daily', 'Europe/Berlin', '2026-11-21T22:59:59Z', '2026-11-21'],
    ['daily', 'Europe/Berlin', '2026-11-21T23:00:00Z', '2026-11-22'],
    // Summer time: midnight in Berlin is 22:00 UTC until 25 October 2026.
    ['daily', 'Europe/Berlin', '2026-10-24T21:59:59Z', '2026-10-24'],
    ['daily', 'Europe/Berlin', '2026-10-24T22:00:00Z', '2026-10-25'],
    ['daily', 'Europe/Berlin', '2026-10-25T22:59:59Z', '2026-10-25'],
    ['daily', 'Europe/Berlin', '2026-10-25T23:00:00Z', '2026-10-26'],
    ['daily', 'Pacific/Kiritimati', '2026-12-31T10:00:00Z', '2027-01-01'],
    ['daily', 'America/Los_Angeles', '2026-01-01T07:59:59Z', '2025-12-31'],
    ['daily', 'Asia/Kathmandu', '2026-11-21T18:15:00Z', '2026-11-22'],
    ['monthly', 'America/Los_Angeles', '2026-03-01T07:00:00Z', '2026-02'],
    ['monthly', 'UTC', '2028-02-29T12:00:00Z', '2028-02'],
    ['weekly', 'UTC', '2026-11-15T23:59:59Z', '2026-W46'],
    ['weekly', 'UTC', '2026-11-16T00:00:00Z', '2026-W47'],
    ['weekly', 'UTC', '2027-01-03T12:00:00Z', '2026-W53'],
    ['weekly', 'UTC', '2024-12-30T12:00:00Z', '2025-W01'],
    ['weekly', 'UTC', '2023-01-01T12:00:00Z', '2022-W52'],
  ] as const)('%s in %s of %s is %s', (period, timeZone, at, name) => {
    expect(named(period, timeZone, at)).toBe(name)
  })

  it('is one for at most its longest length, in every zone', () => {
    const zones = [
      'UTC',
      'Europe/Berlin',
      'America/St_Johns',
      'Australia/Lord_Howe',
      'Pacific/Apia',
      'Africa/Casablanca',
    ]
    const some = fc.record({
      zone: fc.constantFrom(...zones),
      period: fc.constantFrom('daily' as const, 'weekly' as const, 'monthly' as const),
      at: fc.integer({ min: Date.UTC(2000, 0), max: Date.UTC(2100, 0) }),
    })
    fc.assert(
      fc.property(some, ({ zone, period, at }) => {
        const name = periodNamer(period, zone)
        expect(name(at + LONGEST[period])).not.toBe(name(at))
        expect(name(at + LONGEST[period]) > name(at)).toBe(true)
      }),
    )
  })
})
