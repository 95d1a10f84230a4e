import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { lookup, type Plan } from '../../src/response-cache/asked.js'
import { parseCacheControl, seconds, splitList } from '../../src/response-cache/cache-control.js'
import { notModified } from '../../src/response-cache/conditional.js'
import { type HeaderList, storedHeaders, writtenHeaders } from '../../src/response-cache/headers.js'
import { canonicalUrl, resourceKey, sharedAuthority, urlTag } from '../../src/response-cache/key.js'
import { type HeadFacts, type RouteFacts, storing } from '../../src/response-cache/policy.js'
import { parseVary, variantOf } from '../../src/response-cache/vary.js'

describe('Cache-Control', () => {
  it.each([
    ['max-age=60, public', { 'max-age': '60', public: undefined }],
    ['MAX-AGE="60"', { 'max-age': '60' }],
    ['private="set-cookie, x-a", max-age=1', { private: 'set-cookie, x-a', 'max-age': '1' }],
    ['', {}],
    [' , ,', {}],
    ['max-age=60, max-age=5', { 'max-age': '5' }],
    ['max-age=60, max-age=x', { 'max-age': '0' }],
  ])('%j is read', (text, expected) => {
    expect(Object.fromEntries(parseCacheControl(text))).toEqual(expected)
  })

  it.each([
    'private=',
    'private=""',
    'private="unclosed',
    'no-store;foo',
    '"no-store"',
    'NO-STORE',
    'max-age="60, no-store',
    'no-store="x',
    'max-age=5,,no-cache="a\\',
    'public private',
  ])('%j restricts, however malformed', (text) => {
    expect(['no-store', 'no-cache', 'private'].some((name) => parseCacheControl(text).has(name))).toBe(true)
  })

  it.each([
    ['max-age=10', 10],
    ['max-age=-1', 0],
    ['max-age=1.5', 0],
    ['max-age', 0],
    ['max-age=99999999999999', 2 ** 31],
    ['public', undefined],
  ])('the age in %j is %j', (text, age) => {
    expect(seconds(parseCacheControl(text), 'max-age')).toBe(age)
  })

  it('splits any text in linear time and loses no plain item', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('a', 'b=c', 'no-store', '"x, y"'), { maxLength: 20 }), (items) => {
        expect(splitList(items.join(', '))).toEqual(items)
      }),
    )
    const started = performance.now()
    splitList(`${'"\\'.repeat(50_000)}`)
    splitList('",'.repeat(50_000))
    expect(performance.now() - started).toBeLessThan(1000)
  })
})

describe('the policy for requests', () => {
  const facts = { method: 'GET', headers: {}, keyed: false, ignoreCookies: false, explicit: true }

  it.each([
    [{ method: 'POST' }, 'method'],
    [{ method: 'OPTIONS' }, 'method'],
    [{ headers: { 'content-length': '5' } }, 'request-body'],
    [{ headers: { 'transfer-encoding': 'chunked' } }, 'request-body'],
    [{ headers: { authorization: 'Bearer x' } }, 'authorization'],
    [{ headers: { 'cache-control': 'no-store' } }, 'request-no-store'],
    [{ headers: { 'if-match': '"a"' } }, 'precondition'],
    [{ headers: { upgrade: 'websocket' } }, 'upgrade'],
  ])('%j passes by', (changed, reason) => {
    expect(lookup({ ...facts, ...changed }, { ...facts, ...changed })).toEqual({ use: 'bypass', reason })
  })

  it.each([
    [{}, { write: true, publicOnly: false, authorized: false, asked: { reload: false, onlyIfCached: false } }],
    [{ headers: { 'content-length': '0' } }, { write: true }],
    [{ method: 'HEAD' }, { write: false }],
    [{ headers: { range: 'bytes=0-1' } }, { write: false }],
    [{ headers: { cookie: 'a=b' } }, { publicOnly: true }],
    [{ headers: { cookie: 'a=b' }, keyed: true }, { publicOnly: false }],
    [{ headers: { cookie: 'a=b' }, ignoreCookies: true }, { publicOnly: false }],
    [
      { headers: { authorization: 'x' }, keyed: true },
      { write: true, authorized: false, publicOnly: false },
    ],
    [
      { headers: { authorization: 'x' }, explicit: false },
      { write: true, authorized: true, publicOnly: true },
    ],
    [{ headers: { 'cache-control': 'no-cache' } }, { write: true, asked: { reload: true } }],
    [{ headers: { 'cache-control': 'max-age=0' } }, { write: true, asked: { reload: true } }],
    [{ headers: { pragma: 'no-cache' } }, { write: true, asked: { reload: true } }],
    [{ headers: { pragma: 'no-cache', 'cache-control': 'max-age=5' } }, { asked: { reload: false, maxAge: 5 } }],
    [{ headers: { 'cache-control': 'max-stale' } }, { asked: { maxStale: Number.POSITIVE_INFINITY } }],
    [{ headers: { 'cache-control': 'max-stale=x, min-fresh=3' } }, { asked: { maxStale: 0, minFresh: 3 } }],
    [{ headers: { 'cache-control': 'only-if-cached' } }, { asked: { onlyIfCached: true } }],
  ])('%j uses the store', (changed, expected) => {
    expect(lookup({ ...facts, ...changed }, { ...facts, ...changed })).toMatchObject({ use: 'store', ...expected })
  })
})

describe('the policy for responses', () => {
  const now = Date.UTC(2030, 0, 1)
  const decide = (headers: HeaderList, more: Partial<HeadFacts & Plan & RouteFacts> = {}) =>
    storing(
      { status: 200, headers, kept: headers, now, ...more },
      { publicOnly: false, authorized: false, ...more },
      { ttl: 60_000, ...more },
    )

  it.each([
    [[['Set-Cookie', 'a=b']], 'set-cookie'],
    [[['Cache-Control', 'no-store']], 'no-store'],
    [[['Cache-Control', ['public', 'private']]], 'private'],
    [[['cache-control', 'no-cache="x y"']], 'no-cache'],
    [[['cache-control', 'private=""']], 'private'],
    [[['Cache-Control', 's-maxage=0, max-age=60']], 'no-lifetime'],
    [
      [
        ['Cache-Control', 's-maxage=60'],
        ['Age', '60'],
      ],
      'no-lifetime',
    ],
    [
      [
        ['Cache-Control', 's-maxage=60'],
        ['Age', 'old'],
      ],
      'no-lifetime',
    ],
    [[['Vary', 'Accept, *']], 'vary'],
    [[['Vary', Array.from({ length: 20 }, (_, i) => `x-${i}`).join()]], 'vary'],
    [[['Content-Type', 'text/event-stream; charset=utf-8']], 'event-stream'],
    [[['Trailer', 'X-Checksum']], 'trailer'],
    [[['Access-Control-Allow-Origin', 'https://one.example']], 'cors'],
  ] as [HeaderList, string][])('%j is not stored', (headers, reason) => {
    expect(decide(headers)).toEqual({ store: false, reason })
  })

  it.each([100, 201, 202, 206, 302, 303, 304, 307, 400, 401, 403, 404, 429, 500, 503])('%i is not stored', (status) => {
    expect(decide([], { status })).toEqual({ store: false, reason: 'status' })
  })

  it.each([
    [[], 60_000],
    [[['Cache-Control', 'public, max-age=0']], 60_000],
    [[['Expires', '0']], 60_000],
    [[['Cache-Control', 'max-age=10, s-maxage=20']], 20_000],
    [[['Cache-Control', 's-maxage=600']], 60_000],
    [
      [
        ['Access-Control-Allow-Origin', 'https://one.example'],
        ['Vary', 'Origin'],
      ],
      60_000,
    ],
    [[['Access-Control-Allow-Origin', '*']], 60_000],
  ] as [HeaderList, number][])('%j is stored for %i ms', (headers, lifetimeMs) => {
    expect(decide(headers)).toMatchObject({ store: true, lifetimeMs })
  })

  it.each([
    [[], undefined],
    [[['Cache-Control', 'max-age=0']], undefined],
    [[['Cache-Control', 'max-age=5']], 5000],
    [[['Cache-Control', 'max-age=10, s-maxage=20']], 20_000],
    [[['Cache-Control', 'max-age=10, s-maxage=0']], undefined],
    [[['Expires', 'Tue, 01 Jan 2030 00:00:30 GMT']], 30_000],
    [[['Expires', '0']], undefined],
    [[['Expires', 'Mon, 31 Dec 2029 23:59:59 GMT']], undefined],
    [
      [
        ['Cache-Control', 'max-age=50'],
        ['Age', '30'],
      ],
      20_000,
    ],
    [
      [
        ['Cache-Control', 'max-age=50'],
        ['Age', '50'],
      ],
      undefined,
    ],
  ] as [HeaderList, number | undefined][])('without a ttl %j is stored for %j ms', (headers, lifetimeMs) => {
    expect(decide(headers, { ttl: undefined })).toEqual(
      lifetimeMs === undefined
        ? { store: false, reason: 'no-lifetime' }
        : expect.objectContaining({ store: true, lifetimeMs }),
    )
  })

  it('stores what was made for a request with cookies only if it says public, or varies by cookie', () => {
    expect(decide([], { publicOnly: true })).toEqual({ store: false, reason: 'cookie' })
    expect(decide([['Cache-Control', 'public']], { publicOnly: true })).toMatchObject({ store: true, isPublic: true })
    expect(decide([['Vary', 'Cookie']], { publicOnly: true })).toMatchObject({ store: true, isPublic: false })
  })

  it('never stores what carries Set-Cookie, private or no-store, whatever else it says', () => {
    const harmless = fc.constantFrom<HeaderList[number]>(
      ['Cache-Control', 'public, s-maxage=600, max-age=600, must-revalidate'],
      ['Content-Type', 'application/json'],
      ['Vary', 'Accept'],
      ['ETag', '"a"'],
    )
    const forbidden = fc.constantFrom<HeaderList[number]>(
      ['Set-Cookie', 'sid=1'],
      ['set-cookie', ['a=1', 'b=2']],
      ['cache-control', 'private'],
      ['Cache-Control', 'no-store'],
      ['CACHE-CONTROL', 'max-age=5, private="x y"'],
    )
    fc.assert(
      fc.property(fc.array(harmless), forbidden, fc.array(harmless), (before, bad, after) => {
        expect(decide([...before, bad, ...after]).store).toBe(false)
      }),
    )
  })
})

describe('the key', () => {
  it.each([
    ['/a?b=1&a=2', '/a?a=2&b=1'],
    ['/a?', '/a'],
    ['/a?&&', '/a'],
    ['/a?a=2&a=1', '/a?a=2&a=1'],
    ['/a?%61=2&a=1', '/a?%61=2&a=1'],
    ['/a?a[y]=2&b=0&a[x]=1', '/a?a[y]=2&a[x]=1&b=0'],
    ['/a?x=1#fragment', '/a?x=1'],
    ['/a?__proto__=1&%=2', '/a?%=2&__proto__=1'],
  ])('%s is %s', (url, canonical) => {
    expect(canonicalUrl(url)).toBe(canonical)
  })

  const parameter = fc.tuple(fc.constantFrom('a', 'b', 'a[x]', '%61', 'c', 'B', 'a.b'), fc.constantFrom('1', '2', ''))

  it('is the same for any order of differently named parameters, and for no other change', () => {
    fc.assert(
      fc.property(fc.array(parameter, { maxLength: 8 }), fc.array(parameter, { maxLength: 8 }), (one, two) => {
        const url = (list: [string, string][]) => `/x?${list.map(([name, value]) => `${name}=${value}`).join('&')}`
        // What a parser keeps apart: for each name the sequence of its parameters.
        const meaning = (list: [string, string][]) => {
          const groups: Record<string, string[]> = {}
          for (const [name, value] of list) {
            const base = decodeURIComponent(name).replace(/[[.].*/, '')
            groups[base] = [...(groups[base] ?? []), `${name}=${value}`]
          }
          return JSON.stringify(Object.entries(groups).sort(([a], [b]) => (a < b ? -1 : 1)))
        }
        expect(canonicalUrl(url(one)) === canonicalUrl(url(two))).toBe(meaning(one) === meaning(two))
      }),
    )
  })

  it('keeps the order of very many parameters, which parsers cut off', () => {
    const many = `/x?${Array.from({ length: 2000 }, (_, i) => `p${2000 - i}=1`).join('&')}`
    expect(canonicalUrl(many)).toBe(many)
  })

  it('tells protocol, host, path and the caller’s parts from one another', () => {
    const base = { protocol: 'http', authority: 'a.example', url: '/x', extra: [] as string[] }
    const keys = [
      base,
      { ...base, protocol: 'https' },
      { ...base, authority: 'a.example:81' },
      { ...base, authority: 'a.example/', url: 'x' },
      { ...base, url: '/X' },
      { ...base, extra: ['1'] },
      { ...base, extra: ['1', ''] },
      { ...base, extra: ['', '1'] },
      { ...base, url: '/x1' },
    ].map(resourceKey)
    expect(new Set(keys).size).toBe(keys.length)
  })

  it('shares entries between the ports of one app, and with no other port', () => {
    expect(sharedAuthority('127.0.0.1:3001', 3001)).toBe(sharedAuthority('127.0.0.1:3002', 3002))
    const names = ['a.example', 'a.example:1337', 'a.example:80'].map((name) => sharedAuthority(name, 3000))
    expect(new Set([...names, sharedAuthority('a.example:3000', 3000)]).size).toBe(4)
  })

  it('gives a URL one tag, with or without its host', () => {
    expect(urlTag('https://a.example/x?b=1&a=2')).toBe(urlTag('/x?a=2&b=1'))
    expect(urlTag('x')).toBe(urlTag('/x'))
    expect(urlTag('https://a.example')).toBe(urlTag('/'))
  })
})

describe('Vary', () => {
  it('tells variants apart by the named headers only', () => {
    const names = parseVary(['Accept-Language, accept'])
    expect(names).toEqual(['accept', 'accept-language'])
    const of = (headers: Record<string, string>) => variantOf(names as string[], headers)
    expect(of({ accept: 'a,  b' })).toBe(of({ accept: ' a, b', 'x-other': '1' }))
    expect(of({ accept: 'a' })).not.toBe(of({ accept: 'b' }))
    expect(of({ accept: '' })).not.toBe(of({}))
    expect(of({ accept: 'x' })).not.toBe(of({ 'accept-language': 'x' }))
  })

  it('reads Accept-Encoding by meaning', () => {
    const of = (value: string) => variantOf(['accept-encoding'], { 'accept-encoding': value })
    expect(of('gzip, deflate, br')).toBe(of('br,gzip;q=1.0,DEFLATE'))
    expect(of('gzip')).not.toBe(of('gzip;q=0'))
    expect(of('gzip')).not.toBe(of('br'))
    expect(of('gzip, made-up')).toBe(of('gzip'))
  })
})

describe('conditional requests', () => {
  const modified = 'Tue, 01 Jan 2030 00:00:00 GMT'
  it.each([
    [{ 'if-none-match': '"a"' }, true],
    [{ 'if-none-match': 'W/"a"' }, true],
    [{ 'if-none-match': '"x", W/"a" , "y"' }, true],
    [{ 'if-none-match': '*' }, true],
    [{ 'if-none-match': '"b"' }, false],
    [{ 'if-none-match': 'a' }, false],
    [{ 'if-none-match': '"b"', 'if-modified-since': modified }, false],
    [{ 'if-modified-since': modified }, true],
    [{ 'if-modified-since': 'Mon, 31 Dec 2029 00:00:00 GMT' }, false],
    [{ 'if-modified-since': 'yesterday' }, false],
    [{ 'if-modified-since': '2030' }, false],
    [{}, false],
  ])('%j: not modified is %j', (headers, expected) => {
    expect(notModified(headers, { etag: 'W/"a"', lastModified: modified })).toBe(expected)
  })
})

describe('header lists', () => {
  it('keeps what the handler set and nothing of one request or connection', () => {
    const headers: HeaderList = [
      ['Content-Type', 'text/plain'],
      ['X-Request-Id', '1'],
      ['Connection', 'close, X-Hop'],
      ['X-Hop', '1'],
      ['RateLimit-Remaining', '3'],
      ['X-RateLimit-Limit', '3'],
      ['Content-Length', '5'],
      ['Access-Control-Allow-Origin', 'https://a.example'],
      ['Link', ['<a>', '<b>']],
    ]
    const before = new Map([['access-control-allow-origin', 'https://a.example']])
    expect(storedHeaders(headers, before)).toEqual([
      ['Content-Type', 'text/plain'],
      ['Link', ['<a>', '<b>']],
    ])
  })

  it('reads every form that writeHead takes', () => {
    expect(writtenHeaders({ A: '1' })).toEqual([['A', '1']])
    expect(writtenHeaders(['A', '1', 'a', '2', 'B', '3'])).toEqual([
      ['A', ['1', '2']],
      ['B', '3'],
    ])
    expect(writtenHeaders([['A', '1']])).toEqual([['A', '1']])
    expect(writtenHeaders(undefined)).toEqual([])
    expect(writtenHeaders('OK')).toEqual([])
  })
})
