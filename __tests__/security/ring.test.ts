import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { type Entry, Ring } from '../../src/security/ring.js'
import type { SecurityLevel } from '../../src/security/vocabulary.js'

let count = 0
const entry = (level: SecurityLevel = 'info', json = '{}'): Entry => ({
  id: `e${count++}`,
  level,
  at: 0,
  json,
  audit: false,
  user: undefined,
})
const ids = (entries: Iterable<Entry>): string[] => [...entries].map(({ id }) => id)

describe('Ring', () => {
  it('gives events in order of arrival whatever their level', () => {
    const ring = new Ring({ maxEvents: 100, maxBytes: 1e6 })
    const given = (['warn', 'info', 'critical', 'info', 'warn'] as const).map((level) => entry(level))
    for (const each of given) ring.push(each)
    expect(ids(ring.take(3))).toEqual(ids(given.slice(0, 3)))
    ring.settle()
    expect(ids(ring.take(9))).toEqual(ids(given.slice(3)))
  })

  it('gives the same events again until they are settled', () => {
    const ring = new Ring({ maxEvents: 10, maxBytes: 1e6 })
    for (let i = 0; i < 4; i++) ring.push(entry())
    const first = ids(ring.take(2))
    expect(ids(ring.take(2))).toEqual(first)
    expect(ring.size).toBe(4)
    ring.settle()
    expect(ring.size).toBe(2)
  })

  it('settles a part, and gives the rest first the next time', () => {
    const ring = new Ring({ maxEvents: 10, maxBytes: 1e6 })
    const given = Array.from({ length: 5 }, () => entry())
    for (const each of given) ring.push(each)
    ring.take(4)
    expect(ids(ring.take(2))).toEqual(ids(given.slice(0, 2)))
    ring.settle(2)
    expect(ring.size).toBe(3)
    expect(ids(ring.take(9))).toEqual(ids(given.slice(2)))
  })

  it('drops the oldest info first, then warn, and keeps what is being written', () => {
    const ring = new Ring({ maxEvents: 5, maxBytes: 1e6 })
    const writing = entry('info')
    ring.push(writing)
    ring.take(1)
    const warn = entry('warn')
    ring.push(entry('info'))
    ring.push(warn)
    const critical = Array.from({ length: 4 }, () => entry('critical'))
    for (const each of critical) ring.push(each)
    expect(ids(ring)).toEqual([writing.id, ...ids(critical)])
    expect(ring.dropped).toEqual({ info: 1, warn: 1, critical: 0 })
    expect(ring.push(entry('warn'))).toBe(false)
  })

  it('keeps a fifth of the room for critical events', () => {
    const ring = new Ring({ maxEvents: 100, maxBytes: 1e6 })
    for (let i = 0; i < 200; i++) ring.push(entry('warn'))
    expect(ring.size).toBe(80)
    for (let i = 0; i < 20; i++) ring.push(entry('critical'))
    expect(ring.size).toBe(100)
    expect(ring.dropped).toEqual({ info: 0, warn: 120, critical: 0 })
  })

  it('is bounded by bytes as well', () => {
    const ring = new Ring({ maxEvents: 1e6, maxBytes: 100_000 })
    for (let i = 0; i < 1000; i++) ring.push(entry('critical', 'x'.repeat(1000)))
    expect(ring.bytes).toBeLessThanOrEqual(100_000)
    expect(ring.size).toBe(83)
    expect(ring.dropped.critical).toBe(917)
  })

  it('refuses an event that is larger than all its room, and drops nothing else for it', () => {
    const ring = new Ring({ maxEvents: 10, maxBytes: 1000 })
    ring.push(entry('info'))
    expect(ring.push(entry('critical', 'x'.repeat(5000)))).toBe(false)
    expect(ring.size).toBe(1)
  })

  it('forgets matching events, for the sake of a user who is erased', () => {
    const ring = new Ring({ maxEvents: 10, maxBytes: 1e6 })
    const kept = entry()
    ring.push(kept)
    ring.push({ ...entry('warn'), user: 'u1' })
    expect(ring.remove(({ user }) => user === 'u1')).toBe(1)
    expect(ids(ring)).toEqual([kept.id])
  })

  it('accounts for every event: kept, written or dropped, whatever happens in which order', () => {
    const level = fc.constantFrom<SecurityLevel>('info', 'warn', 'critical')
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.record({ push: level, size: fc.integer({ min: 0, max: 900 }) }) },
      { weight: 1, arbitrary: fc.record({ take: fc.integer({ min: 1, max: 20 }) }) },
      { weight: 1, arbitrary: fc.constant('settle' as const) },
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const ring = new Ring({ maxEvents: 30, maxBytes: 20_000 })
        let pushed = 0
        let written = 0
        const order: string[] = []
        for (const each of steps) {
          if (each === 'settle') {
            written += ring.taken.length
            order.push(...ids(ring.taken))
            ring.settle()
          } else if ('take' in each) ring.take(each.take)
          else {
            ring.push(entry(each.push, 'x'.repeat(each.size)))
            pushed++
          }
          expect(ring.size).toBeLessThanOrEqual(30)
          expect(ring.bytes).toBeLessThanOrEqual(20_000)
        }
        const { info, warn, critical } = ring.dropped
        expect(ring.size + written + info + warn + critical).toBe(pushed)
        expect(ids(ring)).toHaveLength(ring.size)
        const numbers = order.map((id) => Number(id.slice(1)))
        expect(numbers.toSorted((a, b) => a - b)).toEqual(numbers)
      }),
    )
  })
})
