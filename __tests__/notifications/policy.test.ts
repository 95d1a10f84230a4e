import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { compareIds, isEventId, START } from '../../src/notifications/event-id.js'
import { type Entry, follow, type Page, plan } from '../../src/notifications/plan.js'
import { digestOf, encodePosition, parsePosition } from '../../src/notifications/position.js'

const anId = fc
  .tuple(fc.nat({ max: 2 ** 53 - 1 }), fc.nat({ max: 5000 }))
  .map(([time, sequence]) => `${time}-${sequence}`)

describe('ids', () => {
  it('compare as the pairs of numbers they are', () => {
    fc.assert(
      fc.property(anId, anId, (a, b) => {
        const [first = 0n, second = 0n] = [a, b].map((id) => {
          const [time = '', sequence = ''] = id.split('-')
          return BigInt(time) * 2n ** 64n + BigInt(sequence)
        })
        expect(Math.sign(compareIds(a, b))).toBe(first === second ? 0 : first < second ? -1 : 1)
      }),
    )
  })

  it.each(['', '1', '1-', '-1', '01-1', '1-01', '1-1-1', ' 1-1', '1-1\n', '+', '(1-1', '1e3-1'])(
    '%j is none',
    (text) => {
      expect(isEventId(text)).toBe(false)
    },
  )
})

describe('positions', () => {
  it('come back as they were written, and nothing else is one', () => {
    const topic = fc.string({ unit: 'binary' }).map(digestOf)
    const topics = fc.array(fc.tuple(topic, anId), { maxLength: 5 }).map((pairs) => new Map(pairs))
    fc.assert(
      fc.property(fc.record({ user: fc.option(anId, { nil: undefined }), topics }), (position) => {
        expect(parsePosition(encodePosition(position))).toEqual(position)
      }),
    )
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const parsed = parsePosition(text)
        if (parsed !== undefined) expect(encodePosition(parsed)).toBe(text)
      }),
    )
  })
})

/** A stream in Redis: capped, and perhaps forgotten. */
class Log {
  entries: Entry[] = []
  last = ''
  #clock: number

  constructor(startAt = 1) {
    this.#clock = startAt
  }

  add(cap: number): Entry {
    const entry = { id: `${this.#clock++}-0`, prev: this.last, type: 'message', json: '1' }
    this.last = entry.id
    this.entries = [...this.entries, entry].slice(-cap)
    return entry
  }

  read(from: string | undefined, count: number): Page {
    const entries =
      from === undefined
        ? this.entries.slice(-count)
        : this.entries.filter(({ id }) => compareIds(id, from) > 0).slice(0, count)
    return { last: this.last, entries }
  }
}

function readAll(log: Log, from: string | undefined, page: number) {
  let position = from
  const shown: string[] = []
  const gaps: string[] = []
  for (let reads = 0; ; reads++) {
    if (reads > 1000) throw new Error('never ends')
    const next = plan(position, log.read(position, page))
    if (next.gap !== undefined) gaps.push(next.gap)
    shown.push(...next.entries.map(({ id }) => id))
    position = next.position
    if (!next.more) return { position, shown, gaps }
  }
}

describe('reading on', () => {
  it('shows everything after the position in order, and tells of a gap exactly where something is gone', () => {
    const scenario = fc.record({
      before: fc.nat({ max: 30 }),
      after: fc.nat({ max: 60 }),
      cap: fc.integer({ min: 1, max: 40 }),
      page: fc.integer({ min: 1, max: 10 }),
    })
    fc.assert(
      fc.property(scenario, ({ before, after, cap, page }) => {
        const log = new Log()
        for (let n = 0; n < before; n++) log.add(cap)
        const from = log.last || START
        const missed = Array.from({ length: after }, () => log.add(cap).id)
        const { position, shown, gaps } = readAll(log, from, page)
        expect(shown).toEqual(missed.slice(-cap))
        expect(gaps).toHaveLength(after > cap ? 1 : 0)
        expect(position).toBe(log.last || START)
        expect(readAll(log, position, page)).toEqual({ position, shown: [], gaps: [] })
      }),
    )
  })

  it('goes on from a gap without telling of it again, wherever the client was cut off', () => {
    const log = new Log()
    log.add(3)
    const from = log.last
    for (let n = 0; n < 9; n++) log.add(3)
    const { gaps } = readAll(log, from, 10)
    expect(readAll(log, gaps[0], 10).gaps).toEqual([])
  })

  it.each([
    ['everything was forgotten', () => new Log(), [START], []],
    ['entries were evicted but not the state', () => Object.assign(new Log(), { last: '9-0' }), ['9-0'], []],
    ['the stream was begun anew by a clock that is behind', () => with3(new Log(1)), [START], ['1-0', '2-0', '3-0']],
    ['the stream was begun anew later', () => with3(new Log(7)), [START], ['7-0', '8-0', '9-0']],
  ])('tells of a gap where %s', (_, make, gaps, shown) => {
    expect(readAll(make(), '5-0', 10)).toMatchObject({ gaps, shown })
  })
})

describe('an entry that was just published', () => {
  it.each([
    ['5-0', { id: '6-0', prev: '5-0' }, 'send'],
    [START, { id: '6-0', prev: '' }, 'send'],
    ['6-0', { id: '6-0', prev: '5-0' }, 'skip'],
    ['7-0', { id: '6-0', prev: '5-0' }, 'skip'],
    ['4-0', { id: '6-0', prev: '5-0' }, 'read'],
    ['7-0', { id: '6-0', prev: '' }, 'read'],
  ] as const)('at %s, %j: %s', (position, entry, action) => {
    expect(follow(position, { ...entry, type: 'message', json: '1' })).toBe(action)
  })
})

function with3(log: Log): Log {
  for (let n = 0; n < 3; n++) log.add(10)
  return log
}
