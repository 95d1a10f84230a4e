import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { createRedisManager, type RedisManager } from '../../src/redis/index.js'
import { startCluster } from '../support/cluster.js'
import { eventually } from '../support/eventually.js'
import { startProxy } from '../support/proxy.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { startSentinels } from '../support/sentinel.js'

/** What one feature was told. */
function watch(redis: RedisManager, feature = 'cache') {
  const keys: string[] = []
  let resets = 0
  const stop = redis.tracking.watch(feature, {
    changed: (key) => void keys.push(key),
    reset: () => {
      resets++
    },
  })
  return { keys, resets: () => resets, stop, armed: () => eventually(() => redis.tracking.state === 'armed') }
}

describe('client tracking', () => {
  let server: RedisServer
  let redis: RedisManager

  beforeAll(async () => {
    server = await startRedis()
    redis = createRedisManager({ url: server.url, logger: false })
    await redis.ready()
  })
  afterAll(async () => {
    await redis.close()
    await server.stop()
  })

  it('announces writes, deletions, scripts, expiry and flushes of others, under the watched feature only', async () => {
    const watched = watch(redis)
    expect(redis.tracking.state).toBe('arming')
    await watched.armed()
    const client = server.client()
    await client.set('holdfast:cache:a', '1')
    await client.set('holdfast:other:a', '1')
    await client.mset('holdfast:cache:b', '1', 'holdfast:cache:c', '1')
    await client.del('holdfast:cache:b')
    await client.eval("redis.call('SET', KEYS[1], '1')", 1, 'holdfast:cache:d')
    await client.set('holdfast:cache:e', '1', 'PX', 20)
    const own = () => watched.keys.filter((key) => !key.includes(':probe:')).map((key) => key.split(':').at(-1))
    await eventually(() => own().filter((key) => key === 'e').length >= 2)
    expect(own().sort()).toEqual(['a', 'b', 'b', 'c', 'd', 'e', 'e'])
    const before = watched.resets()
    await client.flushall()
    await eventually(() => watched.resets() === before + 1)
    watched.stop()
    expect(redis.tracking.state).toBe('off')
  })

  it('follows a second feature that comes later', async () => {
    const first = watch(redis)
    await first.armed()
    const second = watch(redis, 'responses')
    await second.armed()
    await server.client().set('holdfast:cache:a', '1')
    await server.client().set('holdfast:responses:a', '1')
    await eventually(() => first.keys.includes('holdfast:cache:a') && second.keys.includes('holdfast:responses:a'))
    first.stop()
    second.stop()
  })

  it('resets at once when its connection is killed, and arms again', async () => {
    const watched = watch(redis)
    await watched.armed()
    const resets = watched.resets()
    const list = (await server.client().client('LIST')) as string
    const id = /id=(\d+).*name=holdfast:tracking/.exec(list)?.[1]
    await server.client().client('KILL', 'ID', id as string)
    await eventually(() => watched.resets() > resets, { within: 200 })
    await watched.armed()
    await server.client().set('holdfast:cache:again', '1')
    await eventually(() => watched.keys.includes('holdfast:cache:again'))
    watched.stop()
  })

  it('notices a connection that died in silence', async () => {
    const proxy = await startProxy(server.port)
    const behind = createRedisManager({ url: proxy.url, logger: false })
    await behind.ready()
    const watched = watch(behind)
    await watched.armed()
    const resets = watched.resets()
    proxy.blackhole()
    await eventually(() => watched.resets() > resets && behind.tracking.state !== 'armed', { within: 2500 })
    proxy.pass()
    await eventually(() => behind.tracking.state === 'armed', { within: 5000 })
    watched.stop()
    await behind.close()
    await proxy.stop()
  })

  it('says so where the server refuses', async () => {
    await server
      .client()
      .call('ACL', 'SETUSER', 'plain', 'on', '>pw', '~*', '&*', '+@all', '-client', '+client|id', '+client|setname')
    const plain = createRedisManager({ url: server.url.replace('//', '//plain:pw@'), logger: false })
    await plain.ready()
    const watched = watch(plain)
    await eventually(() => plain.tracking.state === 'unsupported', { within: 5000 })
    watched.stop()
    await plain.close()
  })
})

it('watches every master of a Cluster', async () => {
  const cluster = await startCluster({ nodeTimeout: 1000 })
  const redis = createRedisManager({ cluster: { nodes: cluster.nodes }, logger: false })
  try {
    expect(await redis.ready(10_000)).toBe(true)
    const watched = watch(redis)
    await eventually(() => redis.tracking.state === 'armed', { within: 5000 })
    const keys = Array.from({ length: 30 }, (_, i) => `holdfast:cache:${i}`)
    await redis.execute('set', (client) => Promise.all(keys.map((key) => client.set(key, '1'))))
    await eventually(() => keys.every((key) => watched.keys.includes(key)))
    const resets = watched.resets()
    const [master] = await cluster.masters()
    await master?.kill()
    await eventually(() => watched.resets() > resets, { within: 1000 })
    const later = keys.map((key) => `${key}:later`)
    await eventually(
      async () => {
        await redis.execute('set', (client) => Promise.all(later.map((key) => client.set(key, '1'))))
        return redis.tracking.state === 'armed' && later.every((key) => watched.keys.includes(key))
      },
      { within: 20_000, every: 100 },
    )
  } finally {
    await redis.close()
    await cluster.stop()
  }
}, 60_000)

it('follows a Sentinel failover', async () => {
  const sentinels = await startSentinels()
  const redis = createRedisManager({ sentinel: { name: sentinels.name, nodes: sentinels.sentinels }, logger: false })
  try {
    expect(await redis.ready(10_000)).toBe(true)
    const watched = watch(redis)
    await eventually(() => redis.tracking.state === 'armed', { within: 5000 })
    const resets = watched.resets()
    await sentinels.master.kill()
    await eventually(() => watched.resets() > resets, { within: 1000 })
    await eventually(() => redis.tracking.state === 'armed', { within: 20_000 })
    await sentinels.replica.client().set('holdfast:cache:after', '1')
    await eventually(() => watched.keys.includes('holdfast:cache:after'))
  } finally {
    await redis.close()
    await sentinels.stop()
  }
}, 60_000)
