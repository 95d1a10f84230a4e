import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { isSupported } from '../../src/cache/compression.js'
import { decodeEntry, type Entry, encodeEntry } from '../../src/cache/entry.js'
import { type CacheOptions, type CacheOutcome, isCacheValueError, keyOf } from '../../src/cache/index.js'
import { eventually } from '../support/eventually.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { deferred, type Peer, peer } from './world.js'

let server: RedisServer
const open: Peer[] = []

async function cacheWith(options: Omit<CacheOptions, 'redis'> = {}) {
  const one = await peer({ url: server.url }, options)
  open.push(one)
  return one.cache
}

beforeAll(async () => {
  server = await startRedis()
})
afterAll(() => server.stop())
beforeEach(async () => {
  await server.client().flushall()
})
afterEach(async () => {
  await Promise.all(open.splice(0).map((each) => each.close()))
})

describe.each([
  ['without a local tier', {}],
  ['with a local tier', { local: true }],
  ['compressed', { compression: { algorithm: 'gzip', threshold: 1 } }],
  ...(isSupported('zstd')
    ? [['compressed by zstd', { compression: { algorithm: 'zstd', threshold: 1 } }] as const]
    : []),
  ['compressed by brotli, with v8', { compression: { algorithm: 'brotli', threshold: 1 }, codec: 'v8' }],
] as [string, Omit<CacheOptions, 'redis'>][])('a cache %s', (_name, options) => {
  it('gives back any plain value as it was', async () => {
    const cache = await cacheWith(options)
    let n = 0
    await fc.assert(
      fc.asyncProperty(
        fc.jsonValue({ noUnicodeString: false }).filter((value) => !hasNegativeZero(value)),
        async (value) => {
          const key = `key ${n++}`
          expect(await cache.get(key)).toBeUndefined()
          expect(await cache.set(key, value)).toBe(true)
          expect(await cache.get(key)).toEqual(value)
          expect(await cache.get(key)).toEqual(value)
          expect(await cache.getOrSet(key, () => 'computed')).toEqual(value)
          expect(await cache.getOrSet(`${key}!`, () => value)).toEqual(value)
          expect(await cache.get(`${key}!`)).toEqual(value)
        },
      ),
      { numRuns: 60 },
    )
  })

  it('counts null, 0, false and the empty string as values, and undefined as none', async () => {
    const cache = await cacheWith(options)
    for (const value of [null, 0, false, '']) {
      let runs = 0
      const compute = () => {
        runs++
        return value
      }
      for (let i = 0; i < 3; i++) expect(await cache.getOrSet(`v${value}`, compute)).toBe(value)
      expect(runs).toBe(1)
      expect(await cache.has(`v${value}`)).toBe(true)
    }
    let runs = 0
    for (let i = 0; i < 2; i++) expect(await cache.getOrSet('nothing', () => void runs++)).toBeUndefined()
    expect(runs).toBe(2)
    await expect(cache.set('nothing', undefined)).rejects.toThrow(TypeError)
  })

  it('keeps Buffers as Buffers, a copy for each', async () => {
    const cache = await cacheWith(options)
    const bytes = Buffer.from([0, 255, 128, 10])
    await cache.set('bytes', bytes)
    for (let i = 0; i < 3; i++) {
      const got = (await cache.get<Buffer>('bytes')) as Buffer
      expect(Buffer.isBuffer(got)).toBe(true)
      expect(got.equals(bytes)).toBe(true)
      got.fill(7)
    }
    const computed = await cache.getOrSet('computed', () => Buffer.from('abc'))
    computed.fill(0)
    expect((await cache.getOrSet('computed', () => Buffer.alloc(0))).toString()).toBe('abc')
  })

  it('hands out what nobody can change for others', async () => {
    const cache = await cacheWith(options)
    const source = { list: [{ a: 1 }] }
    const first = await cache.getOrSet('frozen', () => source)
    source.list.push({ a: 2 })
    expect(() => first.list.push({ a: 3 })).toThrow(/not extensible/)
    const second = await cache.getOrSet('frozen', () => source)
    expect(() => {
      ;(second.list[0] as { a: number }).a = 9
    }).toThrow(/read only/)
    expect(await cache.get('frozen')).toEqual({ list: [{ a: 1 }] })
  })

  it('reads many in one, whichever are there', async () => {
    const cache = await cacheWith(options)
    const entries = Array.from({ length: 120 }, (_, i) => [`k${i}`, { i }] as const)
    expect(await cache.setMany(entries, { tags: ['many'] })).toBe(true)
    const keys = [...entries.map(([key]) => key), 'absent', 'k1']
    expect([...(await cache.getMany(keys))].length).toBe(120)
    expect((await cache.getMany<{ i: number }>(['k7', 'absent'])).get('k7')).toEqual({ i: 7 })
    expect(await cache.deleteMany(['k7', 'k8'])).toBe(true)
    expect((await cache.getMany(keys)).size).toBe(118)
    await cache.invalidateTags('many')
    expect((await cache.getMany(keys)).size).toBe(0)
  })

  it('deletes, touches, tells how long', async () => {
    const cache = await cacheWith(options)
    await cache.set('a', 1, { ttl: '10s', tags: ['t'] })
    expect(await cache.ttl('a')).toBeGreaterThan(9000)
    expect(await cache.ttl('a')).toBeLessThanOrEqual(10_000)
    expect(await cache.touch('a', '1h')).toBe(true)
    expect(await cache.ttl('a')).toBeGreaterThan(3_590_000)
    expect(await cache.get('a')).toBe(1)
    expect(await server.client().pttl('holdfast:cache:{default}:0:t:t')).toBeGreaterThan(3_590_000)
    expect(await cache.delete('a')).toBe(true)
    expect(await cache.get('a')).toBeUndefined()
    expect(await cache.ttl('a')).toBeUndefined()
    expect(await cache.touch('a', '1h')).toBe(false)
  })

  it('ends values in time', async () => {
    const cache = await cacheWith(options)
    await cache.set('short', 1, { ttl: 1500 })
    await cache.set('touched', 1)
    await cache.touch('touched', 60)
    await eventually(async () => (await cache.get('short')) === undefined && (await cache.get('touched')) === undefined)
  })

  it('invalidates by tag, pattern and everything', async () => {
    const cache = await cacheWith(options)
    const long = `user:1:${'x'.repeat(300)}`
    const all = ['user:1', 'user:2', 'user*', 'order:1', 'a{b}c', 'a[b]c', 'line\nbreak', '😀:1', long]
    const fill = () => cache.setMany(all.map((key) => [key, key]))
    const left = async () => [...(await cache.getMany(all)).keys()]
    await fill()
    expect(await cache.invalidatePattern('user:*')).toBe(true)
    expect(await left()).toEqual(['user*', 'order:1', 'a{b}c', 'a[b]c', 'line\nbreak', '😀:1'])
    await fill()
    await cache.invalidatePattern('user\\*')
    // Long keys are digests in Redis: every pattern takes them along.
    expect(await left()).toEqual(all.filter((key) => key !== 'user*' && key !== long))
    await fill()
    await cache.invalidatePattern('a[b]*')
    expect(await left()).toEqual(all.filter((key) => key !== 'a[b]c' && key !== long))
    await cache.invalidatePattern('*:1')
    expect(await left()).toEqual(['user:2', 'user*', 'a{b}c', 'line\nbreak'])
    expect(await cache.clear()).toBe(true)
    expect(await left()).toEqual([])
  })

  it('keeps tenants apart, whatever their names and keys', async () => {
    const cache = await cacheWith(options)
    const tenants = ['a', 'b', 'a:b', '{a}', '*', '../a', '__proto__', 'A', ' ']
    const scopes = [cache, ...tenants.map((tenant) => cache.scope(tenant)), cache.scope('a').scope('b')]
    await Promise.all(scopes.map((scope, index) => scope.set('key', index, { tags: ['t'] })))
    for (const [index, scope] of scopes.entries()) expect(await scope.get('key')).toBe(index)
    await cache.scope('a').invalidateTags('t')
    await cache.scope('*').invalidatePattern('*')
    await cache.scope('b').delete('key')
    const values = await Promise.all(scopes.map((scope) => scope.get('key')))
    expect(
      values.map((value, index) => (value === undefined ? index : undefined)).filter((each) => each !== undefined),
    ).toEqual([1, 2, 5])
    await cache.clear()
    for (const scope of scopes) expect(await scope.get('key')).toBeUndefined()
  })
})

function hasNegativeZero(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) return Object.values(value).some(hasNegativeZero)
  return Object.is(value, -0)
}

it('two tenants never reach each other, whatever they put into keys and tags', async () => {
  const cache = await cacheWith()
  const text = fc.oneof(
    fc.string({ unit: 'binary', minLength: 1 }),
    fc.constantFrom('a', ':', 'a:', '0', '1', 't', '{}', '%', '~'),
  )
  await fc.assert(
    fc.asyncProperty(
      fc.array(text, { minLength: 1, maxLength: 3 }),
      fc.array(text, { minLength: 1, maxLength: 3 }),
      text,
      text,
      async (one, two, key, other) => {
        fc.pre(JSON.stringify(one) !== JSON.stringify(two))
        const [a, b] = [one, two].map((path) => path.reduce((scope, name) => scope.scope(name), cache))
        const nested = one.every((name, i) => two[i] === name) || two.every((name, i) => one[i] === name)
        await a?.set(key, 'a', { tags: [other] })
        expect(await b?.get(key)).toBeUndefined()
        await b?.set(key, 'b', { tags: [other] })
        expect(await a?.get(key)).toBe('a')
        await b?.invalidateTags(other)
        await b?.delete(key)
        expect(await a?.get(key)).toBe('a')
        if (!nested) {
          await b?.clear()
          expect(await a?.get(key)).toBe('a')
        }
        await a?.delete(key)
      },
    ),
    { numRuns: 80 },
  )
})

describe('getOrSet', () => {
  it('computes once for all who ask at the same time', async () => {
    const cache = await cacheWith()
    let runs = 0
    const compute = async () => {
      runs++
      await sleep(30)
      return 'value'
    }
    const values = await Promise.all(Array.from({ length: 200 }, () => cache.getOrSet('key', compute)))
    expect(new Set(values)).toEqual(new Set(['value']))
    expect(runs).toBe(1)
  })

  it('rejects all who share a computation that throws, and lets the next one try at once', async () => {
    const cache = await cacheWith()
    const failing = () => sleep(10).then(() => Promise.reject(new Error('source')))
    const results = await Promise.allSettled([1, 2, 3].map(() => cache.getOrSet('key', failing)))
    for (const result of results) expect(result).toMatchObject({ status: 'rejected', reason: new Error('source') })
    const started = performance.now()
    expect(await cache.getOrSet('key', () => 1)).toBe(1)
    expect(performance.now() - started).toBeLessThan(4000)
  })

  it('lets the computation choose ttl and tags, or that nothing is stored', async () => {
    const cache = await cacheWith()
    await cache.getOrSet('a', ({ setTtl, setTags }) => {
      setTtl('1h')
      setTags('late')
      return 1
    })
    expect(await cache.ttl('a')).toBeGreaterThan(3_000_000)
    await cache.invalidateTags('late')
    expect(await cache.get('a')).toBeUndefined()
    expect(
      await cache.getOrSet('b', ({ skip }) => {
        skip()
        return 2
      }),
    ).toBe(2)
    expect(await cache.get('b')).toBeUndefined()
  })

  it('does not store under a late tag that was invalidated while it was computed', async () => {
    const cache = await cacheWith()
    await cache.getOrSet('a', async ({ setTags }) => {
      await cache.invalidateTags('late')
      setTags('late')
      return 'old'
    })
    expect(await cache.get('a')).toBeUndefined()
  })

  it('keeps what ends it from being undone by a computation that began before it', async () => {
    const cache = await cacheWith()
    const ends: [string, () => Promise<unknown>][] = [
      ['delete', () => cache.delete('key')],
      ['tags', () => cache.invalidateTags('tag')],
      ['pattern', () => cache.invalidatePattern('ke*')],
      ['clear', () => cache.clear()],
      ['set', () => cache.set('key', 'new')],
      ['through', () => cache.writeThrough('key', () => 'new')],
    ]
    for (const [name, end] of ends) {
      const [begun, go] = [deferred(), deferred()]
      const old = cache.getOrSet(
        'key',
        async () => {
          begun.resolve()
          await go.promise
          return 'old'
        },
        { tags: ['tag'] },
      )
      await begun.promise
      await end()
      // One who asks now must not be given what began before, even while it runs.
      const later = cache.getOrSet('key', () => 'new', { tags: ['tag'] })
      go.resolve()
      expect([name, await old, await later, await cache.get('key')]).toEqual([name, 'old', 'new', 'new'])
      await cache.delete('key')
    }
  })

  it('waits no longer than told for another process, then computes for itself', async () => {
    const [one, two] = [await cacheWith(), await cacheWith({ waitTimeout: 100 })]
    const go = deferred()
    const slow = one.getOrSet('key', () => go.promise.then(() => 'slow'))
    await eventually(async () => (await server.client().exists('holdfast:cache-lease:default:0:{key}')) === 1)
    let runs = 0
    const started = performance.now()
    const values = await Promise.all(Array.from({ length: 20 }, () => two.getOrSet('key', () => `own ${++runs}`)))
    expect(performance.now() - started).toBeGreaterThanOrEqual(95)
    expect(new Set(values)).toEqual(new Set(['own 1']))
    go.resolve()
    expect(await slow).toBe('slow')
    expect(await two.get('key')).toBe('slow')
  })

  it('is woken by the end of a computation elsewhere, not by the clock', async () => {
    const [one, two] = [await cacheWith(), await cacheWith()]
    const go = deferred()
    const slow = one.getOrSet('key', () => go.promise.then(() => 'theirs'))
    await eventually(async () => (await server.client().exists('holdfast:cache-lease:default:0:{key}')) === 1)
    const waiting = two.getOrSet('key', () => 'mine')
    await eventually(
      async () => (await server.client().get('holdfast:cache-lease:default:0:{key}'))?.endsWith('w') === true,
    )
    const commands = async () =>
      Number(/cmdstat_mget:calls=(\d+)/.exec(await server.client().info('commandstats'))?.[1])
    const before = await commands()
    await sleep(150)
    expect(await commands()).toBe(before)
    const started = performance.now()
    go.resolve()
    expect(await waiting).toBe('theirs')
    // By the clock it would be at the end of the lease, or of its patience: five seconds each.
    expect(performance.now() - started).toBeLessThan(4000)
    expect(await slow).toBe('theirs')
  })

  it('hears at once of a computation elsewhere that threw', async () => {
    const [one, two] = [await cacheWith(), await cacheWith()]
    const go = deferred()
    const failing = one.getOrSet('key', () => go.promise.then(() => Promise.reject(new Error('no'))))
    await eventually(async () => (await server.client().exists('holdfast:cache-lease:default:0:{key}')) === 1)
    const waiting = two.getOrSet('key', () => 'mine')
    await eventually(
      async () => (await server.client().get('holdfast:cache-lease:default:0:{key}'))?.endsWith('w') === true,
    )
    const started = performance.now()
    go.resolve()
    await expect(failing).rejects.toThrow('no')
    expect(await waiting).toBe('mine')
    expect(performance.now() - started).toBeLessThan(4000)
  })

  it('takes over from a holder that died once its lease ends, and renews the lease of one that lives', async () => {
    const cache = await cacheWith({ leaseTime: 2000 })
    await server.client().set('holdfast:cache-lease:default:0:{key}', 'x'.repeat(16), 'PX', 500)
    expect(await cache.getOrSet('key', () => 'mine')).toBe('mine')
    const slow = cache.getOrSet('slow', () => sleep(5000).then(() => 'kept'))
    const other = await cacheWith({ leaseTime: 2000 })
    await sleep(3000)
    let runs = 0
    expect(await other.getOrSet('slow', () => ++runs)).toBe('kept')
    await slow
    expect(runs).toBe(0)
  })
})

it('remember is getOrSet', async () => {
  const cache = await cacheWith()
  expect(await cache.remember('key', () => 1)).toBe(1)
  expect(await cache.getOrSet('key', () => 2)).toBe(1)
})

it('tells a computation that the cache is closed', async () => {
  const cache = await cacheWith()
  const begun = deferred<AbortSignal>()
  const value = cache.getOrSet('key', async ({ signal }) => {
    const aborted = once(signal, 'abort')
    begun.resolve(signal)
    await aborted
    return 'late'
  })
  expect((await begun.promise).aborted).toBe(false)
  cache.close()
  expect(await value).toBe('late')
})

describe('freshness', () => {
  it('renews in the last part of the ttl while it serves, once in the fleet', async () => {
    const [one, two] = [await cacheWith({ refreshAhead: 0.99 }), await cacheWith({ refreshAhead: 0.99 })]
    let runs = 0
    const compute = () => `v${++runs}`
    const options = { ttl: '20s' } as const
    expect(await one.getOrSet('key', compute, options)).toBe('v1')
    await sleep(300)
    const go = deferred()
    const renew = () => go.promise.then(compute)
    const served = await Promise.all(
      Array.from({ length: 50 }, (_, i) => (i % 2 ? one : two).getOrSet('key', renew, options)),
    )
    expect(new Set(served)).toEqual(new Set(['v1']))
    go.resolve()
    await eventually(async () => (await one.get('key')) === 'v2')
    expect(runs).toBe(2)
  })

  it('serves stale while it revalidates', async () => {
    const cache = await cacheWith()
    let runs = 0
    const ask = () => cache.getOrSet('key', () => ++runs, { ttl: 50, staleWhileRevalidate: '1m', refreshAhead: 0 })
    expect(await ask()).toBe(1)
    await sleep(80)
    expect(await ask()).toBe(1)
    await eventually(async () => (await ask()) === 2)
    expect(cache.stats().stale).toBeGreaterThan(0)
  })

  it('serves stale where computing fails, and says so', async () => {
    const cache = await cacheWith()
    const options = { ttl: 50, staleIfError: '1m', refreshAhead: 0 } as const
    await cache.getOrSet('key', () => 'good', options)
    await sleep(80)
    const failing = () => Promise.reject(new Error('source'))
    expect(await cache.getOrSet('key', failing, options)).toBe('good')
    expect(cache.stats().rescued).toBe(1)
    await expect(cache.getOrSet('other', failing, options)).rejects.toThrow('source')
  })

  it('serves nothing stale that was invalidated', async () => {
    const cache = await cacheWith()
    const options = { ttl: 50, staleIfError: '1m', staleWhileRevalidate: '1m', tags: ['t'] } as const
    await cache.getOrSet('key', () => 'old', options)
    await sleep(80)
    await cache.invalidateTags('t')
    await expect(cache.getOrSet('key', () => Promise.reject(new Error('source')), options)).rejects.toThrow('source')
  })

  it('keeps a null for its own time', async () => {
    const cache = await cacheWith()
    await cache.getOrSet('none', () => null, { ttl: '1h', negativeTtl: '1s' })
    expect(await cache.ttl('none')).toBeLessThanOrEqual(1000)
  })

  it('renews no more than maxRefreshes values at one time', async () => {
    const cache = await cacheWith({ refreshAhead: 0.99, maxRefreshes: 3 })
    const keys = Array.from({ length: 10 }, (_, i) => `key ${i}`)
    const ask = (compute: () => unknown) =>
      Promise.all(keys.map((key) => cache.getOrSet(key, compute, { ttl: '20s' }))).then((values) => new Set(values))
    await ask(() => 'old')
    await sleep(300)
    const go = deferred()
    let [atWork, most] = [0, 0]
    const renew = async () => {
      most = Math.max(most, ++atWork)
      await go.promise
      atWork--
      return 'new'
    }
    expect(await ask(renew)).toEqual(new Set(['old']))
    await eventually(() => atWork === 3)
    expect(await ask(renew)).toEqual(new Set(['old']))
    go.resolve()
    await eventually(async () => expect(await ask(renew)).toEqual(new Set(['new'])))
    expect(most).toBe(3)
  })

  it('keeps popular keys warm without a read at the end, and lets idle ones die', async () => {
    const cache = await cacheWith({ adaptive: { minReads: 3 }, refreshAhead: 0 })
    const runs = { hot: 0, idle: 0 }
    const ask = (key: 'hot' | 'idle') => cache.getOrSet(key, () => ++runs[key], { ttl: 1200 })
    for (let i = 0; i < 5; i++) await ask('hot')
    await ask('idle')
    await eventually(() => runs.hot === 2)
    expect(await cache.get('hot')).toBe(2)
    await sleep(500)
    expect(runs.idle).toBe(1)
    expect(await cache.get('idle')).toBeUndefined()
  })
})

describe('what a codec cannot carry', () => {
  it.each([
    ['a date', { when: new Date() }],
    ['a map', new Map([[1, 2]])],
    ['a big integer', [1n]],
    ['undefined in an array', [undefined]],
    ['a hole', new Array(2)],
    ['NaN', { a: Number.NaN }],
    ['a function', { a: () => 1 }],
    [
      'a class instance',
      new (class Point {
        x = 1
      })(),
    ],
    ['toJSON', { toJSON: () => 1 }],
    [
      'a cycle',
      (() => {
        const a: Record<string, unknown> = {}
        a.a = a
        return a
      })(),
    ],
  ])('%s is refused by json, never changed in silence', async (_name, value) => {
    const cache = await cacheWith()
    for (const attempt of [cache.set('key', value), cache.getOrSet('key', () => value)]) {
      const error = await attempt.catch((thrown) => thrown)
      expect(isCacheValueError(error)).toBe(true)
    }
    expect(await cache.get('key')).toBeUndefined()
    expect(await server.client().keys('*lease*')).toEqual([])
  })

  it('v8 carries dates, maps, big integers, holes and undefined', async () => {
    const cache = await cacheWith({ codec: 'v8', local: true })
    const value = {
      when: new Date(5),
      map: new Map([[1, new Set(['a'])]]),
      big: 2n ** 80n,
      list: [undefined, Number.NaN],
    }
    expect(await cache.getOrSet('key', () => value)).toEqual(value)
    const got = (await cache.get('key')) as typeof value
    got.map.clear()
    expect(await cache.get('key')).toEqual(value)
    await expect(cache.set('key', () => 1)).rejects.toThrow(/v8/)
  })

  it('a codec of your own is used, and its entries are misses to others', async () => {
    const upper = {
      name: 'upper',
      encode: (value: unknown) => Buffer.from(String(value).toUpperCase()),
      decode: (bytes: Buffer) => bytes.toString(),
    }
    const cache = await cacheWith({ codec: upper })
    await cache.set('key', 'abc')
    expect(await cache.get('key')).toBe('ABC')
    expect(await (await cacheWith()).get('key')).toBeUndefined()
  })
})

describe('limits', () => {
  it('returns what is too long without storing it, and counts it', async () => {
    const cache = await cacheWith({ maxBytes: 1000 })
    const long = 'x'.repeat(2000)
    expect(await cache.getOrSet('long', () => long)).toBe(long)
    expect(await cache.get('long')).toBeUndefined()
    expect(cache.stats().tooLarge).toBe(1)
    await cache.set('key', 'short')
    expect(await cache.set('key', long)).toBe(false)
    expect(await cache.get('key')).toBeUndefined()
  })

  it('refuses to inflate a bomb', async () => {
    const big = await cacheWith({ compression: true, maxBytes: 64 * 1024 * 1024 })
    await big.set('bomb', 'x'.repeat(32 * 1024 * 1024))
    const small = await cacheWith({ compression: true, maxBytes: 1024 * 1024 })
    expect(await small.get('bomb')).toBeUndefined()
    expect(await small.getOrSet('bomb', () => 'computed')).toBe('computed')
  })

  it('refuses a bomb of 1 MiB that would be 1 GiB', async () => {
    const cache = await cacheWith({ compression: true, maxBytes: 4 * 1024 * 1024 })
    await cache.set('bomb', Buffer.alloc(2048))
    const [client, key] = [server.client(), 'holdfast:cache:default:0:{bomb}']
    const entry = decodeEntry((await client.getBuffer(key)) as Buffer) as Entry
    // What is zipped in parts and put together is unzipped as one.
    const part = gzipSync(Buffer.alloc(1024 * 1024))
    const store = async (parts: number) => {
      const body = Buffer.concat(Array.from({ length: parts }, () => part))
      await client.set(key, encodeEntry({ ...entry, body }))
      return body.length
    }
    await store(3)
    expect(await cache.get<Buffer>('bomb')).toHaveLength(3 * 1024 * 1024)
    expect(await store(1024)).toBeLessThan(1.1 * 1024 * 1024)
    expect(await cache.get('bomb')).toBeUndefined()
  })

  it('takes keys of any characters and length as data', async () => {
    const cache = await cacheWith({ local: true })
    const keys = [
      ' ',
      '*',
      '{a}',
      '\r\n',
      '\0',
      '\ud800',
      '\ud801',
      'x'.repeat(100_000),
      `${'x'.repeat(100_000)}y`,
      '__proto__',
      'constructor',
    ]
    await Promise.all(keys.map((key, i) => cache.set(key, i)))
    for (const [i, key] of keys.entries()) expect(await cache.get(key)).toBe(i)
    for (const bad of ['', 5, null, undefined, {}]) await expect(cache.get(bad as string)).rejects.toThrow(TypeError)
  })

  it('computes past foreign bytes and types under its keys, and mends what it may', async () => {
    const cache = await cacheWith()
    const [entry, lease, tag] = [
      'holdfast:cache:default:0:{key}',
      'holdfast:cache-lease:default:0:{key}',
      'holdfast:cache:{default}:0:t:t',
    ]
    const client = server.client()
    const spoils: [string, () => Promise<unknown>, boolean][] = [
      ['text for an entry', () => client.set(entry, 'foreign'), true],
      ['nothing for an entry', () => client.set(entry, ''), true],
      [
        'a truncated entry',
        async () => client.set(entry, ((await client.getBuffer(entry)) as Buffer).subarray(0, -1)),
        true,
      ],
      [
        'another codec',
        async () => {
          const frame = (await client.getBuffer(entry)) as Buffer
          frame.write('nosj', frame.indexOf('json'))
          await client.set(entry, frame)
        },
        true,
      ],
      [
        'no JSON',
        async () => {
          const frame = (await client.getBuffer(entry)) as Buffer
          frame[frame.length - 1] = 0
          await client.set(entry, frame)
        },
        true,
      ],
      ['text for a version', () => client.set(tag, 'x'), true],
      [
        'a list for an entry',
        async () => {
          await client.del(entry)
          await client.rpush(entry, 'a')
        },
        false,
      ],
      [
        'a list for a lease',
        async () => {
          await client.del(entry)
          await client.rpush(lease, 'a')
        },
        false,
      ],
      [
        'a hash for a version',
        async () => {
          await client.del(tag)
          await client.hset(tag, 'a', 'b')
        },
        false,
      ],
    ]
    for (const [name, spoil, mends] of spoils) {
      await client.flushall()
      let runs = 0
      const ask = () => cache.getOrSet('key', () => ++runs, { tags: ['t'], waitTimeout: 100 })
      expect([name, await ask()]).toEqual([name, 1])
      await spoil()
      expect([name, await ask()]).toEqual([name, 2])
      expect([name, await ask()]).toEqual([name, mends ? 2 : 3])
    }
  })

  it('is emptied by a new version of the program, while both share tags and deletions', async () => {
    const [one, two] = [await cacheWith({ version: '1' }), await cacheWith({ version: '2' })]
    await one.set('key', 'one', { tags: ['t'] })
    expect(await two.get('key')).toBeUndefined()
    expect(await one.get('key')).toBe('one')
    await two.delete('key')
    expect(await one.get('key')).toBeUndefined()
    await one.set('key', 'one', { tags: ['t'] })
    await two.invalidateTags('t')
    expect(await one.get('key')).toBeUndefined()
  })

  it.each([
    [{ ttl: '-1s' }, /"ttl"/],
    [{ namespace: 'a:b' }, /"namespace"/],
    [{ local: { maxBites: 1 } }, /"local"/],
    [{ compression: 'lzma' }, /"compression"/],
    [{ codec: {} }, /"codec"/],
    [{ jitter: 2 }, /"jitter"/],
    [{ unknown: 1 }, /"unknown" is not an option/],
  ])('%j is one clear error at construction', async (options, message) => {
    await expect(cacheWith(options as never)).rejects.toThrow(message)
  })
})

describe('writeThrough', () => {
  it('writes to the source, then holds what it returned', async () => {
    const cache = await cacheWith()
    let source = 0
    expect(await cache.writeThrough('key', () => ++source, { tags: ['t'] })).toBe(1)
    expect(await cache.get('key')).toBe(1)
    await cache.invalidateTags('t')
    expect(await cache.get('key')).toBeUndefined()
  })

  it('holds nothing after writes at the same time, or one that failed', async () => {
    const [one, two] = [await cacheWith(), await cacheWith()]
    const [begun, go] = [deferred(), deferred()]
    const first = one.writeThrough('key', async () => {
      begun.resolve()
      await go.promise
      return 'first'
    })
    await begun.promise
    await two.writeThrough('key', () => 'second')
    go.resolve()
    await first
    expect(await one.get('key')).toBeUndefined()
    await one.set('key', 'before')
    await expect(one.writeThrough('key', () => Promise.reject(new Error('no')))).rejects.toThrow('no')
    expect(await one.get('key')).toBeUndefined()
  })
})

describe('memoize', () => {
  it('keys by the arguments', async () => {
    const cache = await cacheWith()
    let runs = 0
    const add = cache.memoize(async function add(a: number, b: { c: number; d: number }) {
      runs++
      return a + b.c + b.d
    })
    expect(await add(1, { c: 2, d: 3 })).toBe(6)
    expect(await add(1, { d: 3, c: 2 })).toBe(6)
    expect(await add(2, { d: 3, c: 2 })).toBe(7)
    expect(runs).toBe(2)
    expect(() => cache.memoize(() => 1)).toThrow(TypeError)
  })
})

describe('keyOf', () => {
  it('is equal for equal content in any order', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (object) => {
        const reversed = Object.fromEntries(Object.entries(object).reverse())
        expect(keyOf(reversed)).toBe(keyOf(object))
        expect(keyOf({ ...object, extra: undefined })).toBe(keyOf(object))
      }),
    )
  })

  it('differs for different content and kinds', () => {
    const values = [
      1,
      '1',
      1n,
      true,
      null,
      undefined,
      [],
      {},
      [[]],
      [1],
      ['1'],
      [1, 2],
      [2, 1],
      [12],
      { a: 1 },
      { a: '1' },
      { a: { b: 1 } },
      { 'a:b': 1 },
      new Date(1),
      new Set([1]),
      new Map([[1, 1]]),
      new Map([['1', 1]]),
      Buffer.from('1'),
      new Uint8Array([49]),
      /1/,
      /1/g,
      new URL('https://a/'),
      'https://a/',
      'a,b',
      ['a', 'b'],
      ['a,b'],
      [undefined],
      Number.NaN,
      Infinity,
    ]
    const keys = values.map(keyOf)
    expect(new Set(keys).size).toBe(values.length)
    expect(keyOf(new Set([1, 2]))).toBe(keyOf(new Set([2, 1])))
    expect(() => keyOf(() => 1)).toThrow(TypeError)
    expect(() => keyOf(new (class A {})())).toThrow(TypeError)
  })
})

describe('statistics and events', () => {
  it('count what happened', async () => {
    const one = await peer({ url: server.url }, { local: true })
    open.push(one)
    const outcomes: CacheOutcome[] = []
    const off = one.redis.on('cache', (outcome) => outcomes.push(outcome))
    const ask = () => one.cache.getOrSet('key', () => 1)
    await ask()
    // The announcement of the own write may still be under way: until then what is read is not kept.
    await eventually(async () => (await ask()) === 1 && one.cache.stats().localHits > 0)
    off()
    const told = outcomes.map(({ outcome, tier }) => `${outcome} ${tier}`)
    expect(new Set(told)).toEqual(new Set(['miss undefined', 'hit redis', 'hit local']))
    expect(told.filter((each) => each.startsWith('miss'))).toHaveLength(1)
    const before = one.cache.stats()
    await ask()
    const stats = one.cache.stats()
    expect(stats).toMatchObject({ misses: 1, stored: 1, localHits: before.localHits + 1 })
    const hits = stats.localHits + stats.redisHits
    expect(stats.hitRatio).toBeCloseTo(hits / (hits + 1))
    expect(stats.local).toMatchObject({ mode: 'tracking', entries: 1 })
    expect(stats.local.bytes).toBeGreaterThan(0)
  })

  it('tell what the cache takes in Redis', async () => {
    const cache = await cacheWith({ namespace: 'measured' })
    await cacheWith({ namespace: 'other' }).then((other) => other.set('key', 1))
    await cache.setMany(Array.from({ length: 250 }, (_, i) => [`key ${i}`, 'x'.repeat(1000)]))
    await cache.scope('tenant').set('key', 1)
    const { keys, bytes } = await cache.usage()
    expect(keys).toBe(251)
    expect(bytes).toBeGreaterThan(250_000)
    expect(bytes).toBeLessThan(500_000)
  })
})
