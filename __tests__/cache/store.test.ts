import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import type { Entry } from '../../src/cache/entry.js'
import { type Draft, Store } from '../../src/cache/store.js'
import { createRedisManager, type RedisManager } from '../../src/redis/index.js'
import { eventually } from '../support/eventually.js'
import { startProxy } from '../support/proxy.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'

let server: RedisServer
let redis: RedisManager

beforeAll(async () => {
  server = await startRedis()
  redis = createRedisManager({ url: server.url, logger: false, commandTimeout: 2000 })
  await redis.ready()
})
afterAll(async () => {
  await redis.close()
  await server.stop()
})
beforeEach(async () => {
  await server.client().flushall()
})

type TextStore = Store<Entry>

const storeOf = (namespace = 'test', path: string[] = [], manager = redis): TextStore =>
  path.reduce(
    (store, name) => store.scope(name),
    new Store<Entry>({
      redis: manager,
      feature: 'cache',
      namespace,
      decode: (entry) => ({ value: entry, bytes: entry.body.length }),
    }),
  )

function draft(body: string, ttl = 60_000): Draft {
  const now = Date.now()
  return {
    flags: 0,
    createdAt: now,
    freshUntil: now + ttl,
    staleUntil: now + ttl,
    metadata: Buffer.alloc(0),
    body: Buffer.from(body),
  }
}

async function put(store: TextStore, key: string, body: string, tags: string[] = []): Promise<void> {
  const snapshot = await store.snapshot(tags, 60_000)
  if (snapshot === undefined) throw new Error('no snapshot')
  expect(await store.write(key, draft(body), snapshot)).toBe(true)
}

async function bodyOf(store: TextStore, key: string, tags: string[] = []): Promise<string | undefined> {
  const reading = await store.read(key, tags)
  return reading.state === 'found' ? reading.resident.value.body.toString() : undefined
}

describe('the store', () => {
  it('reads what was written, with its tags named or not', async () => {
    const store = storeOf()
    await put(store, 'lamp', 'bright', ['products', 'sale'])
    expect(await bodyOf(store, 'lamp')).toBe('bright')
    expect(await bodyOf(store, 'lamp', ['products'])).toBe('bright')
    expect(await bodyOf(store, 'lamp', ['products', 'sale', 'another'])).toBe('bright')
    expect(await bodyOf(store, 'chair')).toBeUndefined()
  })

  it('no longer finds what one of its tags invalidated, and leaves the rest', async () => {
    const store = storeOf()
    await put(store, 'lamp', 'bright', ['products', 'lamps'])
    await put(store, 'chair', 'soft', ['products'])
    expect(await store.invalidateTags(['lamps', 'nobody has this'])).toBe(true)
    expect(await bodyOf(store, 'lamp')).toBeUndefined()
    expect(await bodyOf(store, 'chair')).toBe('soft')
  })

  it('does not bring back what was invalidated while it was computed', async () => {
    const store = storeOf()
    const snapshot = await store.snapshot(['products'], 60_000)
    await store.invalidateTags(['products'])
    await store.write('lamp', draft('old'), snapshot as never)
    expect(await bodyOf(store, 'lamp')).toBeUndefined()
    await put(store, 'lamp', 'new', ['products'])
    expect(await bodyOf(store, 'lamp')).toBe('new')
  })

  it('does not bring back what was cleared while it was computed', async () => {
    const store = storeOf()
    const snapshot = await store.snapshot([], 60_000)
    await store.clear()
    await store.write('lamp', draft('old'), snapshot as never)
    expect(await bodyOf(store, 'lamp')).toBeUndefined()
  })

  it('misses, and never revives, an entry whose tag or generation was evicted', async () => {
    const store = storeOf()
    await put(store, 'lamp', 'bright', ['products'])
    const versions = (await server.client().keys('*')).filter((key) => key.includes('{test}'))
    expect(versions).toHaveLength(3)
    for (const key of versions.filter((each) => !each.endsWith(':e'))) {
      await put(store, 'lamp', 'bright', ['products'])
      await server.client().del(key)
      expect(await bodyOf(store, 'lamp')).toBeUndefined()
      await store.snapshot(['products'], 60_000)
      expect(await bodyOf(store, 'lamp')).toBeUndefined()
    }
  })

  it('keeps tags for longer than the entries that depend on them', async () => {
    const store = storeOf()
    await store.snapshot(['products'], 1000)
    await store.snapshot(['products'], 3_600_000)
    await store.snapshot(['products'], 1000)
    expect(await server.client().pttl('holdfast:cache:{test}:0:t:products')).toBeGreaterThan(3_600_000)
  })

  it('invalidates in one command whatever the number of entries', async () => {
    const store = storeOf()
    for (let i = 0; i < 50; i++) await put(store, `product ${i}`, 'x', ['products'])
    const commands = async (): Promise<number> =>
      Number(/total_commands_processed:(\d+)/.exec(await server.client().info('stats'))?.[1])
    const before = await commands()
    await store.invalidateTags(['products'])
    // EVALSHA, its two SET, perhaps EVAL after NOSCRIPT, and the two INFO of this test.
    expect((await commands()) - before).toBeLessThanOrEqual(6)
    expect(await bodyOf(store, 'product 7')).toBeUndefined()
  })

  it('keeps namespaces and scopes apart, whatever their names and keys contain', async () => {
    const stores = [
      storeOf('a'),
      storeOf('b'),
      storeOf('a', ['b']),
      storeOf('a', ['b', 'c']),
      storeOf('a', ['b:c']),
      storeOf('a:b'),
      storeOf('{a}'),
    ]
    for (const [index, store] of stores.entries()) {
      for (const key of ['x', 'b:x', '{x}', '*']) await put(store, key, `${index} ${key}`, ['t', 'b:t'])
    }
    for (const [index, store] of stores.entries()) {
      for (const key of ['x', 'b:x', '{x}', '*']) expect(await bodyOf(store, key)).toBe(`${index} ${key}`)
    }
    await stores[3]?.invalidateTags(['t'])
    for (const [index, store] of stores.entries()) {
      expect(await bodyOf(store, 'x')).toBe(index === 3 ? undefined : `${index} x`)
    }
  })

  it('clears the scopes inside a namespace with it, and a scope alone', async () => {
    const [root, acme, other] = [storeOf('shop'), storeOf('shop', ['acme']), storeOf('shop', ['other'])]
    for (const store of [root, acme, other]) await put(store, 'x', 'here')
    await acme.clear()
    expect(await Promise.all([root, acme, other].map((store) => bodyOf(store, 'x')))).toEqual([
      'here',
      undefined,
      'here',
    ])
    await root.clear()
    expect(await Promise.all([root, acme, other].map((store) => bodyOf(store, 'x')))).toEqual([
      undefined,
      undefined,
      undefined,
    ])
  })

  it('takes tags of any length and characters as data', async () => {
    const store = storeOf()
    const tags = ['', ' ', '*', '{x}', 'a\r\nb', '\ud800', '😀', 'x'.repeat(70_000), '__proto__']
    await put(store, 'lamp', 'bright', tags)
    for (const tag of tags) {
      expect(await bodyOf(store, 'lamp')).toBe('bright')
      await store.invalidateTags([`${tag}!`])
      expect(await bodyOf(store, 'lamp')).toBe('bright')
      await store.invalidateTags([tag])
      expect(await bodyOf(store, 'lamp')).toBeUndefined()
      await put(store, 'lamp', 'bright', tags)
    }
  })

  it('takes foreign bytes for a miss and says so', async () => {
    const store = storeOf()
    const problems: unknown[] = []
    const off = redis.on('data.corrupt', (event) => problems.push(event))
    await put(store, 'lamp', 'bright')
    const key = 'holdfast:cache:test:0:{lamp}'
    const frame = (await server.client().getBuffer(key)) as Buffer
    for (const bytes of [Buffer.from('hello'), Buffer.alloc(0), frame.subarray(0, 20), Buffer.concat([frame, frame])]) {
      await server.client().set(key, bytes)
      expect((await store.read('lamp')).state).toBe('absent')
    }
    expect(problems).toHaveLength(4)
    await server.client().del(key)
    await server.client().lpush(key, 'a list')
    expect((await store.read('lamp')).state).not.toBe('found')
    off()
  })

  it('replaces a version that is not one of ours', async () => {
    const store = storeOf()
    await server.client().set('holdfast:cache:{test}:0:t:products', 'x'.repeat(1000))
    await put(store, 'lamp', 'bright', ['products'])
    expect(await bodyOf(store, 'lamp')).toBe('bright')
  })

  it('lets entries expire in Redis', async () => {
    const store = storeOf()
    await put(store, 'lamp', 'bright')
    expect(await server.client().pttl('holdfast:cache:test:0:{lamp}')).toBeGreaterThan(50_000)
  })
})

describe('the store while Redis is away', () => {
  it('does an invalidation on its return, and reads nothing until then', async () => {
    const proxy = await startProxy(server.port)
    const behind = createRedisManager({ url: proxy.url, logger: false })
    await behind.ready()
    const store = storeOf('test', [], behind)
    await put(store, 'lamp', 'bright', ['products'])
    await put(store, 'chair', 'soft')
    await proxy.refuse()
    await eventually(() => !behind.available)
    expect((await store.read('lamp')).state).toBe('away')
    expect(await store.snapshot([], 1000)).toBeUndefined()
    expect(await store.invalidateTags(['products'])).toBe(false)
    await proxy.accept()
    await eventually(() => behind.available)
    await eventually(async () => (await store.read('lamp')).state !== 'away')
    expect((await store.read('lamp')).state).toBe('absent')
    expect(await bodyOf(store, 'chair')).toBe('soft')
    await behind.close()
    await proxy.stop()
  })

  it('does an invalidation whose answer came too late again', async () => {
    const proxy = await startProxy(server.port)
    const behind = createRedisManager({ url: proxy.url, logger: false, breakerThreshold: 100 })
    await behind.ready()
    const store = storeOf('test', [], behind)
    await put(store, 'lamp', 'bright', ['products'])
    proxy.blackhole()
    expect(await store.invalidateTags(['products'])).toBe(false)
    expect((await store.read('lamp')).state).toBe('away')
    proxy.pass()
    await eventually(async () => (await store.read('lamp')).state === 'absent')
    await behind.close()
    await proxy.stop()
  })

  it('clears the namespace where too many invalidations wait', async () => {
    const proxy = await startProxy(server.port)
    const behind = createRedisManager({ url: proxy.url, logger: false })
    await behind.ready()
    const store = storeOf('test', [], behind)
    await put(store, 'lamp', 'bright')
    await proxy.refuse()
    await eventually(() => !behind.available)
    for (let i = 0; i < 1100; i++) await store.invalidateTags([`tag ${i}`])
    await proxy.accept()
    await eventually(async () => (await store.read('lamp')).state === 'absent')
    await behind.close()
    await proxy.stop()
  })
})
