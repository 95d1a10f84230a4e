import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import type { Asked } from '../../src/response-cache/asked.js'
import { formatCacheStatus } from '../../src/response-cache/cache-status.js'
import { birthOf, directivesOf, guessedLifetime, statedLifetime } from '../../src/response-cache/freshness.js'
import { type HeaderList, updatedHeaders } from '../../src/response-cache/headers.js'
import { outdatedBy } from '../../src/response-cache/invalidating.js'
import { tagsIn } from '../../src/response-cache/labels.js'
import { sliceOf } from '../../src/response-cache/range.js'
import { reuse, standsIn } from '../../src/response-cache/reuse.js'

const now = Date.UTC(2030, 0, 1)
const stale = { allowed: true, whileRevalidateMs: 5000, ifErrorMs: 5000, ifGone: true }
const asked: Asked = {
  ...{ reload: false, maxAge: undefined, minFresh: undefined, maxStale: undefined, onlyIfCached: false },
}
const seconds = fc.integer({ min: 0, max: 100 })
const anAsked = fc.record({
  reload: fc.boolean(),
  maxAge: fc.option(seconds, { nil: undefined }),
  minFresh: fc.option(seconds, { nil: undefined }),
  maxStale: fc.option(seconds, { nil: undefined }),
  onlyIfCached: fc.boolean(),
})
const aCandidate = fc
  .record({ age: seconds, left: fc.integer({ min: -100, max: 100 }), allowed: fc.boolean() })
  .map(({ age, left, allowed }) => ({
    head: { status: 200, stale: { ...stale, allowed } },
    birth: now - age * 1000,
    freshUntil: now + left * 1000,
  }))

describe('what a stored response is good for', () => {
  it('never is more when the request asks for more', () => {
    const worth = { fresh: 2, stale: 2, behind: 1, validate: 0 }
    fc.assert(
      fc.property(aCandidate, anAsked, (candidate, wish) => {
        const lenient = { ...wish, reload: false, maxAge: undefined, minFresh: undefined }
        expect(worth[reuse(candidate, wish, now)]).toBeLessThanOrEqual(worth[reuse(candidate, lenient, now)])
      }),
    )
  })

  it('is only what its lifetime gives where stale use is forbidden', () => {
    fc.assert(
      fc.property(aCandidate, anAsked, (candidate, wish) => {
        const strict = { ...candidate, head: { status: 200, stale: { ...stale, allowed: false } } }
        const use = reuse(strict, wish, now)
        expect(['fresh', 'validate']).toContain(use)
        if (strict.freshUntil <= now) expect(use).toBe('validate')
        expect(standsIn(strict, 503, now)).toBe(false)
      }),
    )
  })

  it('ends at the very moment its lifetime ends', () => {
    const candidate = { head: { status: 200, stale: { ...stale, whileRevalidateMs: 0 } }, birth: now - 1000 }
    expect(reuse({ ...candidate, freshUntil: now + 1 }, asked, now)).toBe('fresh')
    expect(reuse({ ...candidate, freshUntil: now }, asked, now)).toBe('validate')
  })
})

describe('freshness', () => {
  it.each([
    [[['Age', '5']], now - 5000],
    [[['Age', '5, 6']], undefined],
    [[['Age', ['5', '5']]], undefined],
    [[['Age', '-1']], undefined],
    [[['Age', '1.5']], undefined],
    [[], now],
    [[['Date', new Date(now - 60_000).toUTCString()]], now - 60_000],
    [[['Date', new Date(now + 60_000).toUTCString()]], now],
    [[['Date', 'soon']], now],
  ] as [HeaderList, number | undefined][])('of %j: made at %j', (headers, birth) => {
    expect(birthOf(headers, now)).toBe(birth)
  })

  it('prefers the field that is aimed at this cache', () => {
    const headers: HeaderList = [
      ['Cache-Control', 'no-store'],
      ['CDN-Cache-Control', 'max-age=60'],
    ]
    expect([...directivesOf(headers)]).toEqual([['max-age', '60']])
    expect(directivesOf([...headers.slice(0, 1), ['Surrogate-Control', 'max-age=9;other']]).has('no-store')).toBe(true)
  })

  it('is never negative, whatever the dates', () => {
    const date = fc.integer({ min: -1e6, max: 1e6 }).map((delta) => new Date(now + delta * 1000).toUTCString())
    fc.assert(
      fc.property(date, fc.option(date), date, (expires, made, modified) => {
        const headers: HeaderList = [
          ['Expires', expires],
          ['Last-Modified', modified],
          ...(made === null ? [] : [['Date', made] as const]),
        ]
        expect(statedLifetime(headers, new Map(), now)).toBeGreaterThanOrEqual(0)
        expect(guessedLifetime(200, headers, new Map(), now)).toBeGreaterThanOrEqual(0)
      }),
    )
  })
})

describe('ranges', () => {
  it('lie within the body, whatever is asked for', () => {
    const bound = fc.oneof(fc.constant(''), fc.nat(50).map(String), fc.string())
    fc.assert(
      fc.property(bound, bound, fc.nat(30), (first, last, length) => {
        const slice = sliceOf({ range: `bytes=${first}-${last}` }, length, { etag: '"a"', lastModified: undefined })
        if (slice.kind !== 'part') return
        expect(slice.start).toBeGreaterThanOrEqual(0)
        expect(slice.end).toBeGreaterThanOrEqual(slice.start)
        expect(slice.end).toBeLessThan(length)
      }),
    )
  })
})

describe('a head that a 304 confirms', () => {
  it('keeps what describes the body, takes everything else, and drops the old Date', () => {
    const stored: HeaderList = [
      ['ETag', '"a"'],
      ['Content-Encoding', 'br'],
      ['X-A', 'old'],
      ['X-B', 'kept'],
      ['Date', 'then'],
    ]
    const confirmed: HeaderList = [
      ['ETag', '"b"'],
      ['content-encoding', 'gzip'],
      ['x-a', 'new'],
    ]
    expect(updatedHeaders(stored, confirmed)).toEqual([
      ['ETag', '"a"'],
      ['Content-Encoding', 'br'],
      ['X-B', 'kept'],
      ['x-a', 'new'],
    ])
  })
})

describe('an answer to an unsafe method', () => {
  const target = { protocol: 'http', authority: 'a.example:81', url: '/x?b=1&a=2' }
  it.each([
    [200, [], ['/x?a=2&b=1']],
    [302, [['Location', '/y']], ['/x?a=2&b=1', '/y']],
    [201, [['Content-Location', 'http://a.example:81/z']], ['/x?a=2&b=1', '/z']],
    [201, [['Location', 'http://a.example/z']], ['/x?a=2&b=1']],
    [201, [['Location', 'https://a.example:81/z']], ['/x?a=2&b=1']],
    [201, [['Location', '//evil.example/z']], ['/x?a=2&b=1']],
    [400, [['Location', '/y']], []],
    [503, [], []],
  ] as [number, HeaderList, string[]][])('%i with %j makes %j outdated', (status, headers, urls) => {
    expect(outdatedBy({ status, headers }, target)).toEqual(urls)
  })

  it('throws for no Location and no Host, however malformed', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (location, authority) => {
        const headers: HeaderList = [['Location', location]]
        expect(outdatedBy({ status: 201, headers }, { ...target, authority })[0]).toBe('/x?a=2&b=1')
      }),
    )
  })
})

it('labels are read once each, without empty ones', () => {
  const headers: HeaderList = [
    ['Surrogate-Key', ' a  b '],
    ['Cache-Tag', ['b, c', ',']],
  ]
  expect(tagsIn(headers)).toEqual(['a', 'b', 'c'])
  expect(tagsIn([])).toEqual([])
})

it('Cache-Status is one member of tokens and integers (RFC 9211 §2)', () => {
  expect(formatCacheStatus({ hit: true, ttl: 12.9, collapsed: true })).toBe('holdfast; hit; ttl=12; collapsed')
  expect(formatCacheStatus({ fwd: 'stale', fwdStatus: 304, stored: true })).toBe(
    'holdfast; fwd=stale; fwd-status=304; stored',
  )
  expect(formatCacheStatus({ fwd: 'bypass', detail: 'cookie' })).toBe('holdfast; fwd=bypass; detail=cookie')
})
