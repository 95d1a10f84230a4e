import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { decodeEntry, type Entry, encodeEntry } from '../../src/cache/entry.js'

const entries: fc.Arbitrary<Entry> = fc
  .record({
    flags: fc.integer({ min: 0, max: 255 }),
    times: fc.tuple(fc.nat(2 ** 31), fc.nat(2 ** 31), fc.nat(2 ** 31)),
    dependencies: fc.array(
      fc.record({
        name: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 50 }),
        version: fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 12 }),
      }),
      { maxLength: 8 },
    ),
    metadata: fc.uint8Array({ maxLength: 200 }),
    body: fc.uint8Array({ maxLength: 500 }),
  })
  .map(({ flags, times: [created, fresh, stale], dependencies, metadata, body }) => ({
    flags,
    createdAt: created,
    freshUntil: created + fresh,
    staleUntil: created + fresh + stale,
    dependencies,
    metadata: Buffer.from(metadata),
    body: Buffer.from(body),
  }))

describe('the entry frame', () => {
  it('gives back what was put in', () => {
    fc.assert(
      fc.property(entries, (entry) => {
        expect(decodeEntry(encodeEntry(entry))).toEqual(entry)
      }),
    )
  })

  it('takes no truncated, extended or foreign bytes for an entry', () => {
    fc.assert(
      fc.property(entries, fc.nat(), (entry, at) => {
        const frame = encodeEntry(entry)
        expect(decodeEntry(frame.subarray(0, at % frame.length))).toBeUndefined()
        expect(decodeEntry(Buffer.concat([frame, Buffer.from([0])]))).toBeUndefined()
      }),
    )
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(decodeEntry(Buffer.from(bytes))).toBeUndefined()
      }),
    )
  })

  it('never throws, whichever byte is changed', () => {
    fc.assert(
      fc.property(entries, fc.nat(), fc.integer({ min: 0, max: 255 }), (entry, at, value) => {
        const frame = encodeEntry(entry)
        frame[at % frame.length] = value
        decodeEntry(frame)
      }),
    )
  })

  it('takes no entry of another frame version', () => {
    const frame = encodeEntry({
      flags: 0,
      createdAt: 1,
      freshUntil: 2,
      staleUntil: 3,
      dependencies: [],
      metadata: Buffer.alloc(0),
      body: Buffer.from('body'),
    })
    expect(decodeEntry(frame)?.body.toString()).toBe('body')
    frame[2] = 2
    expect(decodeEntry(frame)).toBeUndefined()
  })
})
