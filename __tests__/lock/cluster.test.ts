import { afterAll, beforeAll, expect, it } from '@jest/globals'
import { createLocks } from '../../src/lock/index.js'
import type { RedisManager } from '../../src/redis/index.js'
import { closeAll, ready } from '../redis/support.js'
import { type RedisCluster, startCluster } from '../support/cluster.js'

let cluster: RedisCluster
let redis: RedisManager

beforeAll(async () => {
  cluster = await startCluster()
  ;({ redis } = await ready({ cluster: { nodes: cluster.nodes }, commandTimeout: '1s' }))
}, 60_000)
afterAll(async () => {
  await closeAll()
  await cluster.stop()
})

it('locks any key on a Cluster: the holders and the fence of one key share a slot', async () => {
  const locks = createLocks({ redis })
  const keys = Array.from({ length: 30 }, (_, index) => `invoice {${index}}: ${'x'.repeat(index * 10)}`)
  for (const key of keys) {
    const lock = await locks.acquire(key)
    expect(await locks.tryAcquire(key)).toBeUndefined()
    await lock.extend('20s')
    expect(await lock.release()).toBe(true)
    expect((await locks.acquire(key)).fence).toBeGreaterThan(lock.fence)
  }
  await locks.close()
})
