import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import type { Cache, CacheOptions } from '../../src/cache/index.js'
import { LocalTier } from '../../src/cache/tier.js'
import type { RedisManagerOptions } from '../../src/redis/index.js'
import { eventually } from '../support/eventually.js'
import { startProxy } from '../support/proxy.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { type Peer, peer } from './world.js'

let server: RedisServer
const open: Peer[] = []

async function peerWith(options: Omit<CacheOptions, 'redis'> = {}, manager: RedisManagerOptions = {}): Promise<Peer> {
  const one = await peer({ url: server.url, ...manager }, { local: true, ...options })
  open.push(one)
  return one
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

/** Gets the key into the tier, and proves it: reads no longer reach Redis. */
async function keep({ cache }: Peer, key: string, value: unknown, tags: string[] = []): Promise<void> {
  await cache.set(key, value, { tags })
  await eventually(async () => {
    const { localHits } = cache.stats()
    await cache.getOrSet(key, () => 'not expected')
    return cache.stats().localHits > localHits
  })
}

const ENTRY = 'holdfast:cache:default:0:{key}'

describe('the local tier', () => {
  it('answers without Redis', async () => {
    const one = await peerWith()
    await keep(one, 'key', { a: 1 })
    const calls: string[] = []
    one.redis.on('redis.call', ({ operation }) => calls.push(operation))
    for (let i = 0; i < 10; i++) expect(await one.cache.getOrSet('key', () => 0)).toEqual({ a: 1 })
    expect(calls).toEqual([])
  })

  it.each([
    ['SET by somebody else', (client) => client.set(ENTRY, 'foreign')],
    ['DEL', (client) => client.del(ENTRY)],
    ['UNLINK', (client) => client.unlink(ENTRY)],
    ['expiry', (client) => client.pexpire(ENTRY, 1)],
    ['RENAME', (client) => client.rename(ENTRY, 'elsewhere')],
    ['FLUSHDB', (client) => client.flushdb()],
    ['FLUSHALL', (client) => client.flushall()],
    ['a script', (client) => client.eval("return redis.call('DEL', KEYS[1])", 1, ENTRY)],
    ['a changed tag', (client) => client.set('holdfast:cache:{default}:0:t:tag', 'x'.repeat(12))],
    ['an evicted tag', (client) => client.del('holdfast:cache:{default}:0:t:tag')],
    ['an evicted generation', (client) => client.del('holdfast:cache:{default}:0:g')],
  ] as [string, (client: ReturnType<RedisServer['client']>) => Promise<unknown>][])(
    'forgets a value within moments of %s',
    async (_name, change) => {
      const one = await peerWith()
      await keep(one, 'key', 'old', ['tag'])
      await change(server.client())
      await eventually(async () => (await one.cache.get('key')) === undefined, { every: 1 })
      expect(await one.cache.getOrSet('key', () => 'new', { tags: ['tag'] })).toBe('new')
    },
  )

  it('sees what other processes write, delete, invalidate and clear', async () => {
    const [one, two] = [await peerWith(), await peerWith()]
    const ends: [string, () => Promise<unknown>, unknown][] = [
      ['set', () => two.cache.set('key', 'new'), 'new'],
      ['delete', () => two.cache.delete('key'), undefined],
      ['tag', () => two.cache.invalidateTags('tag'), undefined],
      ['pattern', () => two.cache.invalidatePattern('k*'), undefined],
      ['clear', () => two.cache.clear(), undefined],
      ['touch', () => two.cache.touch('key', 1), undefined],
    ]
    for (const [name, end, expected] of ends) {
      await keep(one, 'key', 'old', ['tag'])
      await end()
      await eventually(async () => (await one.cache.get('key')) === expected)
      expect(name).toBeTruthy()
    }
  })

  it('sees its own changes at once', async () => {
    const one = await peerWith()
    for (const end of ['delete', 'tag', 'pattern', 'clear'] as const) {
      await keep(one, 'key', 'old', ['tag'])
      if (end === 'delete') await one.cache.delete('key')
      else if (end === 'tag') await one.cache.invalidateTags('tag')
      else if (end === 'pattern') await one.cache.invalidatePattern('*')
      else await one.cache.clear()
      expect(await one.cache.get('key')).toBeUndefined()
      await keep(one, 'key', 'old', ['tag'])
      await one.cache.set('key', end)
      expect(await one.cache.get('key')).toBe(end)
    }
  })

  it('is emptied when its connection is killed, and armed again', async () => {
    const one = await peerWith()
    await keep(one, 'key', 'old')
    const list = (await server.client().client('LIST')) as string
    const ids = [...list.matchAll(/id=(\d+).*name=holdfast:tracking/g)].map(([, id]) => id)
    await Promise.all(ids.map((id) => server.client().client('KILL', 'ID', id as string)))
    await eventually(() => one.cache.stats().local.entries === 0)
    await eventually(() => one.cache.stats().local.mode === 'tracking')
    await keep(one, 'key', 'again')
  })

  it('serves nothing old after its connection died in silence, beyond the bound of its pings', async () => {
    const proxy = await startProxy(server.port)
    const one = await peerWith({}, { url: proxy.url, commandTimeout: 75 })
    await keep(one, 'key', 'old')
    proxy.blackhole()
    await server.client().del(ENTRY)
    await eventually(async () => (await one.cache.getOrSet('key', () => 'computed')) === 'computed')
    proxy.pass()
    await eventually(() => one.cache.stats().local.mode === 'tracking')
    await proxy.stop()
  })

  it('follows pub/sub where tracking is refused, and says so', async () => {
    await server
      .client()
      .call('ACL', 'SETUSER', 'plain', 'on', '>pw', '~*', '&*', '+@all', '-client', '+client|id', '+client|setname')
    const url = server.url.replace('//', '//plain:pw@')
    const [one, two] = [await peerWith({}, { url }), await peerWith({}, { url })]
    expect(one.cache.stats().local.mode).toBe('pubsub')
    const ends = [
      () => two.cache.set('key', 'new'),
      () => two.cache.delete('key'),
      () => two.cache.invalidateTags('tag'),
      () => two.cache.invalidatePattern('key'),
      () => two.cache.clear(),
    ]
    for (const end of ends) {
      await keep(one, 'key', 'old', ['tag'])
      await end()
      await eventually(async () => (await one.cache.get('key')) !== 'old')
    }
  })

  it('is off where the server allows no channels, as to new users of Redis 7, and the cache works without it', async () => {
    await server.client().call('ACL', 'SETUSER', 'silent', 'on', '>pw', '~*', '+@all', 'resetchannels')
    const silent = { url: server.url.replace('//', '//silent:pw@') }
    const one = await peer(silent, { local: true }, false)
    const two = await peer(silent)
    open.push(one, two)
    const refilled = async (text: string): Promise<void> => {
      expect(await two.cache.getOrSet('key', () => text, { tags: ['tag'] })).toBe(text)
      for (const { cache } of [one, two]) expect(await cache.getOrSet('key', () => 'other')).toBe(text)
    }
    await refilled('computed')
    const ends: ((cache: Cache) => Promise<boolean>)[] = [
      (cache) => cache.delete('key'),
      (cache) => cache.invalidateTags('tag'),
      (cache) => cache.invalidatePattern('k*'),
      (cache) => cache.clear(),
    ]
    for (const [index, end] of ends.entries()) {
      expect([index, await end(one.cache)]).toEqual([index, true])
      await refilled(`after ${index}`)
    }
    expect(await one.cache.set('key', 'set')).toBe(true)
    expect(await two.cache.get('key')).toBe('set')
    expect(await one.cache.touch('key', '1h')).toBe(true)
    expect(one.cache.stats().local).toMatchObject({ mode: 'off', entries: 0 })
  })

  it('asks Redis again after its longest age, whatever it was told', async () => {
    const one = await peerWith({ local: { maxAge: 200 } })
    await keep(one, 'key', 1)
    await sleep(250)
    const { redisHits } = one.cache.stats()
    await one.cache.getOrSet('key', () => 0)
    expect(one.cache.stats().redisHits).toBe(redisHits + 1)
  })

  it('does not keep what changed while it was being read', async () => {
    const [one, two] = [await peerWith(), await peerWith()]
    for (let round = 0; round < 100; round++) {
      await two.cache.set('key', round)
      await Promise.all([one.cache.get('key'), two.cache.set('key', -round), one.cache.get('key')])
      await eventually(async () => (await one.cache.get('key')) === -round, { every: 1 })
    }
  })

  it('stays within its bytes', async () => {
    const one = await peerWith({ local: { maxBytes: 100_000 } })
    for (let i = 0; i < 500; i++) await one.cache.getOrSet(`key ${i}`, () => 'x'.repeat(500))
    for (let i = 0; i < 500; i++) await one.cache.getOrSet(`key ${i}`, () => 'never')
    const { bytes, entries, evictions } = one.cache.stats().local
    expect(bytes).toBeLessThanOrEqual(100_000)
    expect(entries).toBeGreaterThan(20)
    expect(evictions).toBeGreaterThan(300)
  })
})

describe('the tier alone', () => {
  const end = Number.MAX_SAFE_INTEGER

  function tierOf(maxBytes = 1e6): LocalTier<string> {
    const tier = new LocalTier<string>(maxBytes)
    tier.open = true
    return tier
  }

  /** As a read does that finds the value with these versions; `meanwhile` happens before its reply. */
  function keep(
    tier: LocalTier<string>,
    key: string,
    versions: Record<string, string> = {},
    meanwhile = () => {},
  ): void {
    const begun = tier.beginRead()
    meanwhile()
    const dependencies = Object.entries(versions).map(([name, version]) => ({ name, version }))
    tier.keep({ key, value: key, createdAt: 0, freshUntil: end, staleUntil: end }, begun, {
      ...{ bytes: 100, capMs: 1e9, dependencies },
    })
    tier.endRead()
  }

  it('keeps what was read last where there is no room for all', () => {
    const tier = tierOf(10_000)
    for (let i = 0; i < 100; i++) {
      keep(tier, `k${i}`)
      tier.get('k0', 0)
    }
    expect(tier.get('k0', 0)?.value).toBe('k0')
    expect(tier.get('k1', 0)).toBeUndefined()
    expect(tier.bytes).toBeLessThanOrEqual(10_000)
  })

  it('knows a version once for all entries, and forgets it with the last of them', () => {
    const tier = tierOf()
    keep(tier, 'a', { t: '1' })
    keep(tier, 'b', { t: '1' })
    tier.changed('t')
    expect([tier.get('a', 0), tier.get('b', 0)]).toEqual([undefined, undefined])
    keep(tier, 'c', { t: '2' })
    expect(tier.get('c', 0)?.value).toBe('c')
    keep(tier, 'd', { t: '3' })
    expect(tier.get('c', 0)).toBeUndefined()
    expect(tier.get('d', 0)?.value).toBe('d')
    tier.clear()
    expect([tier.size, tier.bytes]).toEqual([0, 0])
  })

  it('keeps nothing that changed while it was read, nor what depends on it', () => {
    const disturbances: [string, (tier: LocalTier<string>) => void][] = [
      ['the key', (tier) => tier.changed('k')],
      ['a version', (tier) => tier.changed('t')],
      ['everything', (tier) => tier.clear()],
      ['nothing is heard', (tier) => Object.assign(tier, { open: false })],
      ['very much', (tier) => Array.from({ length: 10_001 }, (_, i) => tier.changed(`other ${i}`))],
    ]
    for (const [name, disturb] of disturbances) {
      const tier = tierOf()
      keep(tier, 'k', { t: '1' }, () => disturb(tier))
      tier.open = true
      expect([name, tier.get('k', 0)]).toEqual([name, undefined])
    }
  })

  it('keeps what was read while something else changed, or before its read began', () => {
    const tier = tierOf()
    tier.changed('k')
    const another = tier.beginRead()
    tier.changed('k')
    keep(tier, 'k', { t: '1' }, () => tier.changed('other'))
    expect(tier.get('k', 0)?.value).toBe('k')
    tier.keep({ key: 'k', value: 'old', createdAt: 0, freshUntil: end, staleUntil: end }, another, {
      ...{ bytes: 100, capMs: 1e9, dependencies: [] },
    })
    expect(tier.get('k', 0)?.value).toBe('k')
    tier.endRead()
  })
})
