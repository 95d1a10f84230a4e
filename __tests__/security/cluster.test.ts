import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { createRedisManager, type RedisManager } from '../../src/redis/index.js'
import { createSecurityLog } from '../../src/security/index.js'
import { type RedisCluster, startCluster } from '../support/cluster.js'
import { eventually } from '../support/eventually.js'
import { collect } from './support.js'

let cluster: RedisCluster
let redis: RedisManager

beforeAll(async () => {
  cluster = await startCluster()
  redis = createRedisManager({ cluster: { nodes: cluster.nodes }, logger: false, commandTimeout: 1000 })
  await redis.ready('10s')
}, 60_000)
afterAll(async () => {
  await redis.close()
  await cluster.stop()
})

describe('securityLog on a Cluster', () => {
  it('writes, queries, consumes, verifies, erases and detects over all masters', async () => {
    const integrity = { keys: [{ id: 'k1', key: 'a signing key for tests only, 32 characters' }] }
    const sink = collect()
    const logs = Array.from({ length: 6 }, () =>
      createSecurityLog({ redis, sink, shards: 8, integrity, enforce: ['bruteForcePair'], flushInterval: 1 }),
    )
    const [first] = logs as [(typeof logs)[0]]
    for (let n = 0; n < 300; n++) logs[n % 6]?.record('sensitive_read', { userId: `u${n % 10}`, n, audit: n % 3 === 0 })
    for (let n = 0; n < 12; n++) first.record('authn_login_fail', { account: 'alice', ip: '192.0.2.1' })
    for (const log of logs) expect(await log.flush('5s')).toBe(true)

    const seen = new Set<string>()
    for await (const event of first.events({ type: 'sensitive_read' })) seen.add(event.id)
    expect(seen.size).toBe(300)
    expect(await first.activity('u3')).toHaveLength(30)
    expect(sink.events.filter(({ event }) => event === 'authn_login_fail_max').length).toBeGreaterThan(0)
    expect(first.restrictions().size).toBe(1)
    await eventually(() => logs.every((log) => log.restrictions().size === 1), { within: 15_000 })

    const forwarded = new Set<string>()
    const consumer = first.consume(
      'siem',
      async (events) => {
        for (const { id } of events) forwarded.add(id)
      },
      { interval: 20 },
    )
    await eventually(() => forwarded.size >= 312, { within: 10_000 })
    await consumer.close()

    expect(await first.verify()).toMatchObject({ ok: true, missing: [], altered: [] })
    expect(await first.erase('u3')).toBe(30)
    expect(await first.verify()).toMatchObject({ ok: true })
    expect(await first.activity('u3')).toEqual([])
    await Promise.all(logs.map((log) => log.close()))
  }, 60_000)
})
