import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { createRedisManager, type RedisManager } from '../../src/redis/index.js'
import { parseInfo } from '../../src/redis/info.js'
import { type RedisCluster, startCluster } from '../support/cluster.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { redisMajor } from '../support/redis-version.js'

describe('parseInfo', () => {
  it('leaves out what is missing or malformed instead of inventing zeros', () => {
    const stats = parseInfo('used_memory:12\r\nmaxmemory:nonsense\r\nrole:slave\r\n# Comment\r\n\r\nodd line')
    expect(stats.memory).toMatchObject({ usedBytes: 12, maxBytes: undefined, usedRatio: undefined })
    expect(stats.role).toBe('replica')
    expect(stats.traffic.hitRatio).toBeUndefined()
    expect(stats.keys).toBe(0)
  })

  it('reads the slowest online replica as the lag', () => {
    const stats = parseInfo(
      'master_repl_offset:1000\r\nslave0:ip=::1,port=1,state=online,offset=900,lag=0\r\nslave1:ip=::1,port=2,state=online,offset=400,lag=1\r\nslave2:ip=::1,port=3,state=wait_bgsave,offset=0,lag=0',
    )
    expect(stats.replication.lagBytes).toBe(600)
  })
})

describe('redis.stats', () => {
  let server: RedisServer
  let redis: RedisManager

  beforeAll(async () => {
    server = await startRedis({ args: ['--maxmemory', '100mb', '--slowlog-log-slower-than', '0'] })
    redis = createRedisManager({ url: server.url, logger: false, keyPrefix: 'shop' })
    await redis.ready()
  })
  afterAll(async () => {
    await redis.close()
    await server.stop()
  })

  it('answers numbers of a real server', async () => {
    await redis.execute('seed', (client) => client.set(redis.keys.key('cache', 'a'), 'secret-value', 'PX', 60_000))
    await redis.execute('read', (client) => client.get(redis.keys.key('cache', 'a')))
    await redis.execute('read', (client) => client.get(redis.keys.key('cache', 'absent')))
    const stats = await redis.stats()
    const [first] = stats.servers
    expect(first).toMatchObject({ role: 'master', keys: 1, keysWithTtl: 1 })
    expect(first?.version).toMatch(/^\d+\.\d+/)
    expect(first?.memory.maxBytes).toBe(100 * 1024 * 1024)
    expect(first?.memory.usedRatio).toBeGreaterThan(0)
    expect(first?.commands.get?.calls).toBe(2)
    const p99 = first?.commands.get?.p99Microseconds
    expect(p99 === undefined ? redisMajor < 7 : p99 > 0).toBe(true)
    expect(stats.totals.hitRatio).toBe(0.5)
    expect(stats.unavailable).toEqual([])
  })

  it('names slow commands without their arguments', async () => {
    await redis.execute('slow', (client) => client.set('a', 'secret-value'))
    const { slowCalls } = await redis.stats()
    expect(slowCalls.map(({ command }) => command)).toContain('set')
    expect(JSON.stringify(slowCalls)).not.toContain('secret-value')
  })

  it('says what a restricted user may not ask, and answers the rest', async () => {
    const admin = server.client()
    await admin.call('ACL', 'SETUSER', 'watcher', 'on', '>pw', '~*', '+@all', '-slowlog')
    const watcher = createRedisManager({ url: server.url.replace('//', '//watcher:pw@'), logger: false })
    await watcher.ready()
    const stats = await watcher.stats()
    expect(stats.unavailable).toEqual(['slowlog'])
    expect(stats.servers[0]?.role).toBe('master')
    await watcher.close()
  })

  it('counts keys and memory by feature, exactly while the sample holds them all', async () => {
    const admin = server.client()
    await admin.flushall()
    const fill = admin.pipeline()
    for (let i = 0; i < 300; i++) fill.set(`shop:cache:${i}`, 'x'.repeat(1000))
    for (let i = 0; i < 100; i++) fill.set(`shop:session:${i}`, 'y')
    fill.set('foreign:key', 'z')
    await fill.exec()
    const spaces = new Map((await redis.namespaces()).map((space) => [space.namespace, space]))
    expect(spaces.get('cache')?.keys).toBe(300)
    expect(spaces.get('session')?.keys).toBe(100)
    expect(spaces.size).toBe(2)
    expect(spaces.get('cache')?.bytes).toBeGreaterThan(300_000)
  })

  it('estimates from a sample in a large keyspace', async () => {
    const admin = server.client()
    await admin.flushall()
    await admin.eval(
      "for i=1,30000 do redis.call('SET','shop:cache:'..i,i) end for i=1,10000 do redis.call('SET','shop:lock:'..i,i) end",
      0,
    )
    const spaces = new Map((await redis.namespaces({ sample: 4000 })).map((space) => [space.namespace, space.keys]))
    expect(spaces.get('cache')).toBeGreaterThan(26_000)
    expect(spaces.get('cache')).toBeLessThan(34_000)
    expect(spaces.get('lock')).toBeGreaterThan(7000)
    expect(spaces.get('lock')).toBeLessThan(13_000)
  })

  it('fails closed while Redis is away', async () => {
    const absent = createRedisManager({ env: {}, logger: false })
    await expect(absent.stats()).rejects.toMatchObject({ code: 'ERR_HOLDFAST_REDIS_UNAVAILABLE' })
    await absent.close()
  })
})

describe('redis.stats on a Cluster', () => {
  let cluster: RedisCluster
  beforeAll(async () => {
    cluster = await startCluster()
  })
  afterAll(() => cluster.stop())

  it('sums over all masters', async () => {
    const redis = createRedisManager({ cluster: { nodes: cluster.nodes }, logger: false })
    await redis.ready('5s')
    for (let i = 0; i < 60; i++) {
      await redis.execute('seed', (client) => client.set(redis.keys.key('cache', `k${i}`), 'v'))
    }
    const stats = await redis.stats()
    expect(stats.servers).toHaveLength(3)
    expect(stats.totals.keys).toBe(60)
    expect(await redis.namespaces()).toEqual([{ namespace: 'cache', keys: 60, bytes: expect.any(Number) }])
    await redis.close()
  })
})
