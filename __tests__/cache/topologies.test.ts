import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import type { RedisManagerOptions } from '../../src/redis/index.js'
import { type RedisCluster, startCluster } from '../support/cluster.js'
import { eventually } from '../support/eventually.js'
import { startSentinels } from '../support/sentinel.js'
import { deferred, type Peer, peer } from './world.js'

const open: Peer[] = []
async function peerOn(manager: RedisManagerOptions, local = true): Promise<Peer> {
  const one = await peer({ commandTimeout: 2000, ...manager }, { local })
  open.push(one)
  return one
}
afterEach(async () => {
  await Promise.all(open.splice(0).map((each) => each.close()))
})

describe('on a six-node Cluster', () => {
  let cluster: RedisCluster
  let place: RedisManagerOptions

  beforeAll(async () => {
    cluster = await startCluster({ nodeTimeout: 1000 })
    place = { cluster: { nodes: cluster.nodes } }
  }, 60_000)
  afterAll(() => cluster.stop())

  it('tags, patterns, batches and deletions reach every master', async () => {
    const [one, two] = [await peerOn(place), await peerOn(place, false)]
    const keys = Array.from({ length: 60 }, (_, i) => `key ${i}`)
    expect(
      await one.cache.setMany(
        keys.map((key) => [key, key]),
        { tags: ['all'] },
      ),
    ).toBe(true)
    expect((await two.cache.getMany(keys)).size).toBe(60)
    await two.cache.invalidateTags('all')
    expect((await two.cache.getMany(keys)).size).toBe(0)
    await eventually(async () => (await one.cache.getMany(keys)).size === 0)
    await two.cache.setMany(keys.map((key) => [key, key]))
    expect(await one.cache.invalidatePattern('key 1*')).toBe(true)
    expect((await two.cache.getMany(keys)).size).toBe(49)
    await one.cache.deleteMany(keys)
    expect((await two.cache.getMany(keys)).size).toBe(0)
    await one.cache.getOrSet('scoped', () => 1)
    await one.cache.clear()
    expect(await two.cache.get('scoped')).toBeUndefined()
  })

  it('one computation for the fleet, whose waiters are woken', async () => {
    const peers = await Promise.all([1, 2, 3].map(() => peerOn(place, false)))
    const go = deferred()
    let runs = 0
    const compute = () => go.promise.then(() => ++runs)
    const all = peers.flatMap(({ cache }) => Array.from({ length: 20 }, () => cache.getOrSet('cold', compute)))
    await new Promise((resolve) => setTimeout(resolve, 100))
    go.resolve()
    expect(new Set(await Promise.all(all))).toEqual(new Set([1]))
  })

  it('copies follow changes on every master, also after one was replaced', async () => {
    const [one, two] = [await peerOn(place), await peerOn(place)]
    const keys = Array.from({ length: 30 }, (_, i) => `copy ${i}`)
    const follow = async (text: string) => {
      await two.cache.setMany(keys.map((key) => [key, `${text} old`]))
      await eventually(async () => (await one.cache.getMany(keys)).size === 30)
      await one.cache.getMany(keys)
      await two.cache.setMany(keys.map((key) => [key, `${text} new`]))
      await eventually(async () =>
        [...(await one.cache.getMany(keys)).values()].every((value) => value === `${text} new`),
      )
    }
    await follow('before')
    const [master] = await cluster.masters()
    await master?.kill()
    const probe = (name: string) =>
      eventually(
        async () => {
          for (const { cache, redis } of [one, two]) {
            if (!redis.available || cache.stats().local.mode !== 'tracking') return false
            if (!(await cache.setMany(keys.map((key) => [`${name} ${key}`, 1])))) return false
          }
          return true
        },
        { within: 20_000, every: 200 },
      )
    await probe('probe')
    await follow('after')
  }, 60_000)
})

it('keeps invalidations exact across a Sentinel failover, for what is computed and for what waits', async () => {
  const sentinels = await startSentinels()
  try {
    const place = { sentinel: { name: sentinels.name, nodes: sentinels.sentinels } }
    const [one, two] = [await peerOn(place, false), await peerOn(place, false)]
    await one.cache.set('stored', 'old', { tags: ['t'] })
    const [begun, go] = [deferred(), deferred()]
    const computing = one.cache.getOrSet(
      'computed',
      async () => {
        begun.resolve()
        await go.promise
        return 'old'
      },
      { tags: ['t'] },
    )
    await begun.promise
    await sentinels.master.kill()
    await eventually(() => !two.redis.available, { within: 20_000 })
    // Not done, and not forgotten.
    expect(await two.cache.invalidateTags('t')).toBe(false)
    expect(await two.cache.get('stored')).toBeUndefined()
    await eventually(() => one.redis.available && two.redis.available, { within: 20_000, every: 100 })
    await eventually(async () => (await one.cache.get('stored')) === undefined, { within: 20_000 })
    go.resolve()
    expect(await computing).toBe('old')
    const fresh = () => two.cache.getOrSet('computed', () => 'new', { tags: ['t'] })
    await eventually(async () => (await fresh()) === 'new', { within: 20_000 })
    expect(await one.cache.getOrSet('computed', () => 'newer', { tags: ['t'] })).toBe('new')
  } finally {
    await Promise.all(open.splice(0).map((each) => each.close()))
    await sentinels.stop()
  }
}, 90_000)

it('goes on across a Sentinel failover: tags, copies, leases', async () => {
  const sentinels = await startSentinels()
  try {
    const place = { sentinel: { name: sentinels.name, nodes: sentinels.sentinels } }
    const [one, two] = [await peerOn(place), await peerOn(place)]
    await one.cache.set('key', 'before', { tags: ['t'] })
    expect(await two.cache.get('key')).toBe('before')
    await sentinels.master.kill()
    expect(await one.cache.getOrSet('during', () => 'computed')).toBe('computed')
    await eventually(
      async () => one.redis.available && two.redis.available && (await one.cache.set('key', 'after', { tags: ['t'] })),
      { within: 20_000, every: 100 },
    )
    await eventually(async () => (await two.cache.get('key')) === 'after', { within: 20_000 })
    await eventually(() => two.cache.stats().local.mode === 'tracking', { within: 10_000 })
    await two.cache.get('key')
    expect(await one.cache.invalidateTags('t')).toBe(true)
    await eventually(async () => (await two.cache.get('key')) === undefined)
    let runs = 0
    const values = await Promise.all([one, two].map(({ cache }) => cache.getOrSet('cold', () => ++runs)))
    expect(values).toEqual([1, 1])
  } finally {
    await Promise.all(open.splice(0).map((each) => each.close()))
    await sentinels.stop()
  }
}, 60_000)
