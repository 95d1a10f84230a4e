import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import express from 'express'
import { type Cache, type CacheOptions, createCache } from '../../src/cache/index.js'
import { describeDegradation } from '../contract/degradation.js'
import { eventually } from '../support/eventually.js'
import { startProxy, type TcpProxy } from '../support/proxy.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { type Peer, peer } from './world.js'

for (const local of [false, true]) {
  describeDegradation(`createCache ${local ? 'with' : 'without'} a local tier`, {
    mount: (redis) => {
      const cache = createCache({ redis, local })
      return express().get('/', async (_req, res) => {
        let computed = false
        const value = await cache.getOrSet('key', () => {
          computed = true
          return { name: 'Lamp' }
        })
        res.set('X-Computed', String(computed)).json(value)
      })
    },
    whenUp: async (get) => {
      await get('/')
      const { status, headers, body } = await get('/')
      expect([status, headers.get('x-computed'), body]).toEqual([200, 'false', '{"name":"Lamp"}'])
    },
    whenAway: ({ headers, body }) => {
      // Copies of this process are good until the loss of their connection is noticed.
      if (!local) expect(headers.get('x-computed')).toBe('true')
      expect(body).toBe('{"name":"Lamp"}')
    },
  })
}

describe('while Redis is away', () => {
  let server: RedisServer
  let proxy: TcpProxy
  const open: Peer[] = []

  async function behindProxy(options: Omit<CacheOptions, 'redis'> = {}): Promise<Peer> {
    const one = await peer({ url: proxy.url, commandTimeout: 75 }, options)
    open.push(one)
    return one
  }

  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server.stop())
  beforeEach(async () => {
    await server.client().flushall()
    proxy = await startProxy(server.port)
  })
  afterEach(async () => {
    await Promise.all(open.splice(0).map((each) => each.close()))
    await proxy.stop()
  })

  async function leave(one: Peer): Promise<void> {
    await proxy.refuse()
    await eventually(() => !one.redis.available)
  }

  async function comeBack(one: Peer): Promise<void> {
    await proxy.accept()
    await eventually(() => one.redis.available)
  }

  it('computes, still once for all who ask at the same time', async () => {
    const one = await behindProxy()
    await leave(one)
    let runs = 0
    const compute = () => sleep(20).then(() => ++runs)
    expect(new Set(await Promise.all(Array.from({ length: 50 }, () => one.cache.getOrSet('key', compute))))).toEqual(
      new Set([1]),
    )
    expect(await one.cache.getOrSet('key', compute)).toBe(2)
    expect(await one.cache.get('key')).toBeUndefined()
    expect(await one.cache.set('key', 1)).toBe(false)
    expect((await one.cache.getMany(['key'])).size).toBe(0)
  })

  it('shares no computation across its own invalidation', async () => {
    const one = await behindProxy()
    await leave(one)
    const old = one.cache.getOrSet('key', () => sleep(50).then(() => 'old'))
    await sleep(10)
    expect(await one.cache.delete('key')).toBe(false)
    expect(await one.cache.getOrSet('key', () => 'new')).toBe('new')
    expect(await old).toBe('old')
  })

  it('remembers in this process where told to, and keeps nothing of it on the return', async () => {
    const one = await behindProxy({ fallback: 'memory' })
    await one.cache.set('key', 'in Redis')
    await leave(one)
    let runs = 0
    const ask = () => one.cache.getOrSet('other', () => ++runs)
    expect([await ask(), await ask(), runs]).toEqual([1, 1, 1])
    expect(await one.cache.get('other')).toBe(1)
    await one.cache.set('key', 'in memory')
    expect(await one.cache.get('key')).toBe('in memory')
    expect((await one.cache.getMany(['key', 'other'])).size).toBe(2)
    expect(one.cache.stats().memoryHits).toBeGreaterThan(0)
    await one.cache.invalidateTags('any')
    expect(await ask()).toBe(2)
    await comeBack(one)
    await eventually(async () => (await one.cache.get('other')) === undefined)
    expect(await one.cache.getOrSet('other', () => 'fresh')).toBe('fresh')
    // The failed set has removed the older value, rather than leave it to be found.
    expect(await one.cache.get('key')).toBeUndefined()
  })

  it('does on the return what could not be done: deletions, tags, patterns, clearing', async () => {
    const ends: [string, (one: Peer) => Promise<boolean>][] = [
      ['delete', ({ cache }) => cache.delete('key')],
      ['tags', ({ cache }) => cache.invalidateTags('tag')],
      ['pattern', ({ cache }) => cache.invalidatePattern('k*')],
      ['clear', ({ cache }) => cache.clear()],
    ]
    for (const [name, end] of ends) {
      const one = await behindProxy({ namespace: name })
      await one.cache.set('key', 'old', { tags: ['tag'] })
      await leave(one)
      expect([name, await end(one)]).toEqual([name, false])
      await comeBack(one)
      expect([name, await one.cache.getOrSet('key', () => 'new')]).toEqual([name, 'new'])
      await eventually(async () => (await one.cache.get('key')) !== 'old')
      const other = await peer({ url: server.url }, { namespace: name })
      open.push(other)
      await eventually(async () => (await other.cache.get('key')) !== 'old')
    }
  })

  it('does what could not be done in each of two scopes', async () => {
    const one = await behindProxy()
    const scopes = ['acme', 'other'].map((name) => one.cache.scope(name))
    for (const end of [
      (cache: Cache) => cache.clear(),
      (cache: Cache) => cache.invalidateTags('tag'),
      (cache: Cache) => cache.invalidatePattern('k*'),
    ]) {
      await eventually(async () =>
        (await Promise.all(scopes.map((each) => each.set('key', 'old', { tags: ['tag'] })))).every(Boolean),
      )
      await leave(one)
      for (const each of scopes) expect(await end(each)).toBe(false)
      await comeBack(one)
      for (const each of scopes) await eventually(async () => (await each.get('key')) === undefined)
      const other = await peer({ url: server.url })
      open.push(other)
      for (const name of ['acme', 'other']) {
        await eventually(async () => (await other.cache.scope(name).get('key')) === undefined, { within: 3000 })
      }
    }
  })

  it('remembers no more than told to', async () => {
    const one = await behindProxy({ fallback: { maxBytes: 20_000 } })
    await leave(one)
    const ask = (key: string) => one.cache.getOrSet(key, () => 'x'.repeat(1000))
    for (let i = 0; i < 50; i++) await ask(`key ${i}`)
    const { memoryHits } = one.cache.stats()
    for (let i = 49; i >= 0; i--) await one.cache.get(`key ${i}`)
    const kept = await one.cache.getMany(Array.from({ length: 50 }, (_, i) => `key ${i}`))
    expect(memoryHits).toBe(0)
    expect(kept.size).toBeGreaterThan(2)
    expect(kept.size).toBeLessThan(20)
    expect(kept.has('key 49')).toBe(true)
    expect(() => createCache({ redis: one.redis, fallback: { maxBytes: 0 } })).toThrow(/fallback/)
    expect(() => createCache({ redis: one.redis, fallback: { bytes: 1 } as never })).toThrow(/fallback/)
  })

  it('writes to the source through it, and leaves nothing older behind', async () => {
    const one = await behindProxy()
    await one.cache.set('key', 'old')
    await leave(one)
    expect(await one.cache.writeThrough('key', () => 'new')).toBe('new')
    await comeBack(one)
    await eventually(async () => (await one.cache.get('key')) === undefined)
  })

  it('holds a caller no longer than the deadlines of two commands when Redis hangs', async () => {
    const one = await behindProxy()
    await one.cache.getOrSet('warm', () => 1)
    proxy.blackhole()
    const started = performance.now()
    expect(await one.cache.getOrSet('key', () => 'computed')).toBe('computed')
    expect(performance.now() - started).toBeLessThan(75 + 75 + 1000)
  })

  it('is computed past in every way where CACHE_DISABLED says so', async () => {
    const env = { CACHE_DISABLED: '1' }
    const two = await peer({ url: server.url }, { env, local: true }, false)
    open.push(two)
    let runs = 0
    for (let i = 0; i < 3; i++) expect(await two.cache.getOrSet('key', () => ++runs)).toBe(i + 1)
    expect(await two.cache.set('key', 1)).toBe(false)
    expect(await two.cache.get('key')).toBeUndefined()
    expect(await server.client().dbsize()).toBe(0)
  })
})
