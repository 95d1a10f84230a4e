import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { createUsage, type Usage } from '../../src/usage/index.js'
import { closeAll, ready, timed, watched } from '../redis/support.js'
import { type RedisCluster, startCluster } from '../support/cluster.js'
import { eventually } from '../support/eventually.js'
import { fairNow } from '../support/fair-clock.js'
import { freePort } from '../support/free-port.js'
import { startProxy, type TcpProxy } from '../support/proxy.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'

const HOUR = 3_600_000

/** Calls that Redis has counted, by a process that has nothing to do with the outage. */
async function counted(server: RedisServer): Promise<number> {
  const { redis } = await ready({ url: server.url, commandTimeout: '2s' })
  const { total } = await createUsage({ redis }).report({ from: Date.now() - HOUR, to: Date.now() + 60_000 })
  await redis.close()
  return total.calls
}

describe('usage when Redis is away', () => {
  let server: RedisServer
  let proxy: TcpProxy
  let usage: Usage
  const rejections: unknown[] = []
  const note = (reason: unknown): void => void rejections.push(reason)

  beforeAll(async () => {
    process.on('unhandledRejection', note)
    server = await startRedis()
    proxy = await startProxy(server.port)
  })
  beforeEach(async () => {
    await server.client().flushall()
    const { redis } = await ready({ url: proxy.url })
    usage = createUsage({ redis, flushInterval: '50ms' })
  })
  afterEach(async () => {
    server.resume()
    proxy.pass()
    await proxy.accept()
    await usage.close()
    await closeAll()
  })
  afterAll(async () => {
    await proxy.stop()
    await server.stop()
    process.off('unhandledRejection', note)
    expect(rejections).toEqual([])
  })

  it('a write whose reply is lost is sent again, and counted once', async () => {
    usage.track('ann', 'search')
    await usage.flush()
    for (let i = 1; i < 500; i++) usage.track(`user ${i % 100}`, 'search')
    proxy.latency(30_000)
    expect(await usage.flush()).toBe(false)
    expect(await counted(server)).toBeGreaterThan(1)
    proxy.reset()
    proxy.pass()
    await eventually(() => usage.stats().pending === 0, { within: 10_000 })
    expect(await counted(server)).toBe(500)
    expect(usage.stats()).toMatchObject({ tracked: 500, flushed: 500, dropped: 0 })
  })

  it('a write that a hung server does late, after it was sent again, is counted once', async () => {
    usage.track('ann', 'search')
    await usage.flush()
    server.pause()
    usage.track('ann', 'search')
    expect(await usage.flush()).toBe(false)
    await sleep(1200)
    server.resume()
    await eventually(() => usage.stats().pending === 0, { within: 10_000 })
    usage.track('ann', 'search')
    await eventually(() => usage.stats().pending === 0, { within: 10_000 })
    expect(await counted(server)).toBe(3)
  })

  it('through resets, delays and refusals every call is counted exactly once', async () => {
    let tracked = 0
    const faults = [
      () => proxy.reset(),
      () => proxy.latency(120),
      () => proxy.blackhole(),
      () => server.pause(),
      () => proxy.slice(7),
    ]
    for (let round = 0; round < 10; round++) {
      for (let i = 0; i < 300; i++, tracked++) usage.track(`user ${tracked % 173}`, `op ${tracked % 7}`)
      await sleep(40)
      faults[round % faults.length]?.()
      for (let i = 0; i < 100; i++, tracked++) usage.track(`user ${tracked % 173}`, `op ${tracked % 7}`)
      await sleep(250)
      server.resume()
      proxy.pass()
      await sleep(round % 2 ? 300 : 20)
    }
    await eventually(() => usage.stats().pending === 0, { within: 10_000 })
    expect(usage.stats()).toMatchObject({ tracked, flushed: tracked, dropped: 0 })
    expect(await counted(server)).toBe(tracked)
  })

  it('tracking costs nothing, is bounded, and says what it dropped', async () => {
    const port = await freePort()
    const { redis, lines } = watched({ host: '127.0.0.1', port })
    await eventually(() => redis.state === 'down')
    const away = createUsage({ redis, maxPending: 100, flushInterval: '20ms' })
    const lost: number[] = []
    redis.on('usage.dropped', ({ calls }) => lost.push(calls))
    const started = fairNow()
    for (let i = 0; i < 10_000; i++) away.track(`user ${i % 200}`, 'search')
    expect(fairNow() - started).toBeLessThan(1000)
    expect(away.stats()).toMatchObject({ tracked: 10_000, pending: 100, dropped: 5000 })
    await expect(away.report({ from: Date.now() - HOUR })).rejects.toMatchObject({
      code: 'ERR_HOLDFAST_REDIS_UNAVAILABLE',
    })
    await expect(away.activity('ann')).rejects.toMatchObject({ code: 'ERR_HOLDFAST_REDIS_UNAVAILABLE' })
    await expect(away.erase('ann')).rejects.toMatchObject({ code: 'ERR_HOLDFAST_REDIS_UNAVAILABLE' })
    const quota = away.quota<string>({ user: (user) => user, limit: 1 })
    expect(await quota.within('ann')).toBe(true)
    expect(await quota.used('ann')).toBeUndefined()
    const late = await startRedis({ port })
    await eventually(() => away.stats().pending === 0, { within: 10_000 })
    expect(await counted(late)).toBe(5000)
    expect(away.stats()).toMatchObject({ tracked: 10_000, flushed: 5000, dropped: 5000 })
    expect(lost.reduce((sum, calls) => sum + calls, 0)).toBe(5000)
    expect(lines.filter((line) => line.includes('HOLDFAST_USAGE_DROPPED'))).toHaveLength(1)
    await away.close()
    await redis.close()
    await late.stop()
  })

  it('killed and back empty, it goes on counting', async () => {
    usage.track('ann', 'search')
    await usage.flush()
    await server.kill()
    usage.track('ann', 'search')
    usage.track('ann', 'search')
    await server.restart()
    await eventually(() => usage.stats().pending === 0, { within: 10_000 })
    expect(await counted(server)).toBe(2)
  })

  it('gives a write up after a day, because then nobody remembers whether it was done', async () => {
    const { redis } = await ready({ url: proxy.url })
    const clock = { at: Date.now() }
    const old = createUsage({ redis, now: () => clock.at, flushInterval: '50ms' })
    old.track('ann', 'search')
    await old.flush()
    old.track('ann', 'search')
    proxy.latency(30_000)
    expect(await old.flush()).toBe(false)
    clock.at += 24 * HOUR
    proxy.reset()
    proxy.pass()
    await eventually(() => old.stats().pending === 0, { within: 10_000 })
    expect(old.stats()).toMatchObject({ tracked: 2, flushed: 1, dropped: 1 })
    await old.close()
  })

  it('hung, it closes in about a second and lets the process go', async () => {
    usage.track('ann', 'search')
    server.pause()
    expect(await timed(() => usage.close())).toBeLessThan(1500)
    usage.track('ann', 'search')
    expect(usage.stats().invalid).toBe(1)
  })
})

describe('usage on a Cluster', () => {
  let cluster: RedisCluster
  beforeAll(async () => {
    cluster = await startCluster()
  }, 60_000)
  afterAll(async () => {
    await closeAll()
    await cluster.stop()
  })

  it.each([1, 8])('is counted, ranked, reported and erased over %s shards', async (shards) => {
    const { redis } = await ready({ cluster: { nodes: cluster.nodes }, commandTimeout: '2s' })
    const usage = createUsage({ redis, shards, name: `over ${shards}` })
    for (let i = 0; i < 400; i++) usage.track(`user ${i % 40}`, i % 2 ? 'a' : 'b', { cost: i % 40 })
    usage.track(undefined, 'c')
    expect(await usage.flush()).toBe(true)
    const from = Date.now() - 2 * HOUR
    const to = Date.now() + 60_000
    const report = await usage.report({ from, to, callers: true })
    expect(report.total).toMatchObject({ calls: 401, callers: 40 })
    expect(report.rows.find(({ key }) => key === 'a')).toMatchObject({ calls: 200, callers: 20 })
    const users = await usage.report({ from, to, groupBy: 'user', limit: 2 })
    expect(users.rows.map(({ key, calls }) => [key, calls])).toEqual([
      ['user 39', 10],
      ['user 38', 10],
    ])
    expect((await usage.activity('user 7')).operations).toMatchObject([{ key: 'a', calls: 10, cost: 70 }])
    await usage.erase('user 39')
    expect((await usage.report({ from, to, groupBy: 'user', limit: 1 })).rows[0]?.key).toBe('user 38')
    await usage.close()
    await redis.close()
  })
})
