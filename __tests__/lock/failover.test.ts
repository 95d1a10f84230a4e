import { afterEach, describe, expect, it } from '@jest/globals'
import slotOf from 'cluster-key-slot'
import { createLocks, type Lock } from '../../src/lock/index.js'
import type { RedisManagerOptions } from '../../src/redis/index.js'
import { closeAll, ready } from '../redis/support.js'
import { startCluster } from '../support/cluster.js'
import { eventually } from '../support/eventually.js'
import type { RedisServer } from '../support/redis-server.js'
import { startSentinels } from '../support/sentinel.js'

interface Pair {
  readonly options: RedisManagerOptions
  /** Has the keys of the lock, and their copy. */
  readonly master: RedisServer
  readonly replica: RedisServer
  stop(): Promise<void>
}

const KEYS = ['holdfast:lock:{job}:holders', 'holdfast:lock:{job}:fence']
const WITHIN = { within: 30_000, every: 50 }

const cleanUp: (() => Promise<unknown>)[] = []
afterEach(async () => {
  await closeAll()
  for (const step of cleanUp.splice(0)) await step()
})

async function onSentinel(): Promise<Pair> {
  const { name, sentinels, master, replica, stop } = await startSentinels()
  return { options: { sentinel: { name, nodes: sentinels } }, master, replica, stop }
}

type Address = [host: string, port: number]
type Range = [from: number, to: number, master: Address, replica: Address]

async function onCluster(): Promise<Pair> {
  const cluster = await startCluster({ nodeTimeout: 1000 })
  const slot = slotOf(KEYS[0] as string)
  // From, to, the master, and its replica once this server has heard of it.
  const found = await eventually(async () => {
    const ranges = (await cluster.servers[0]?.client().cluster('SLOTS')) as unknown as Range[]
    return ranges.find(([from, to, , replica]) => from <= slot && slot <= to && replica !== undefined) ?? false
  }, WITHIN)
  const [, , [, masterPort], [, replicaPort]] = found as unknown as Range
  const at = (port: number): RedisServer => cluster.servers.find((server) => server.port === port) as RedisServer
  return {
    options: { cluster: { nodes: cluster.nodes } },
    master: at(masterPort),
    replica: at(replicaPort),
    stop: cluster.stop,
  }
}

/** Refuses fences smaller than the greatest it has seen. */
function createStorage() {
  let greatest = 0
  return (lock: Lock): boolean => {
    if (lock.fence < greatest) return false
    greatest = lock.fence
    return true
  }
}

async function twoProcesses(start: () => Promise<Pair>) {
  const pair = await start()
  cleanUp.push(() => {
    pair.master.resume()
    return pair.stop()
  })
  const join = async () => createLocks({ redis: (await ready({ ...pair.options, commandTimeout: '1s' })).redis })
  const [first, second] = [await join(), await join()]
  return { ...pair, first, second }
}

const unavailable = 'ERR_HOLDFAST_REDIS_UNAVAILABLE'

/** Locks fail closed while nobody is the master. */
async function insist<T>(attempt: () => Promise<T | undefined>): Promise<T> {
  let found: T | undefined
  await eventually(async () => {
    try {
      found = await attempt()
    } catch (error) {
      expect(error).toMatchObject({ code: unavailable })
    }
    return found !== undefined
  }, WITHIN)
  return found as T
}

const hasCopy = (replica: RedisServer): Promise<boolean> =>
  replica
    .client()
    .call('PING')
    .then(async () => String(await replica.client().info('keyspace')).includes('keys=2'))

const FULL = process.env.HOLDFAST_TEST_FULL !== undefined
const killed = ['is killed', (server: RedisServer): unknown => server.kill()] as const
const hung = ['hangs', (server: RedisServer): unknown => server.pause()] as const

describe.each([
  ['Sentinel', onSentinel, FULL ? [killed, hung] : [killed]],
  ['Cluster', onCluster, FULL ? [killed, hung] : [hung]],
])('a failover during a hold on a %s', (_name, start, ends) => {
  it.each(ends)(
    'whose master %s keeps a lock that was replicated: it is extended, and nobody else is let in',
    async (_how, end) => {
      const { first, second, master, replica } = await twoProcesses(start)
      const lock = await first.acquire('job', '5m')
      await eventually(() => hasCopy(replica), WITHIN)
      await end(master)
      await insist(async () => {
        await lock.extend('5m')
        return true
      })
      expect(lock.held).toBe(true)
      expect(await insist(async () => (await second.tryAcquire('job')) ?? 'refused')).toBe('refused')
      await eventually(() => lock.release(), WITHIN)
      const next = await insist(() => second.tryAcquire('job'))
      expect(next.fence).toBeGreaterThan(lock.fence)
    },
    120_000,
  )

  it('that loses the lock lets a second holder in, whose fence shuts the first one out', async () => {
    const { first, second, master, replica } = await twoProcesses(start)
    const storage = createStorage()
    const lock = await first.acquire('job', '5m')
    expect(storage(lock)).toBe(true)
    await eventually(() => hasCopy(replica), WITHIN)
    await master.kill()
    // As if the master had died before it could pass them on.
    await eventually(async () => (await replica.client().role())[0] === 'master', WITHIN)
    await eventually(() => replica.client().del(KEYS).then(Boolean), WITHIN)

    const next = await insist(() => second.tryAcquire('job', '5m'))
    // Both believe to hold it: this is why it is not consensus, and what the fence is for.
    expect([lock.held, next.held]).toEqual([true, true])
    expect(next.fence).toBeGreaterThan(lock.fence)
    expect(storage(next)).toBe(true)
    expect(storage(lock)).toBe(false)

    const lost = await insist(() =>
      lock.extend().then(
        () => undefined,
        (error) => (error.code === unavailable ? undefined : error),
      ),
    )
    expect(lost).toMatchObject({ code: 'ERR_HOLDFAST_LOCK_LOST', reason: 'gone' })
    expect(lock.signal.aborted).toBe(true)
    expect(next.held).toBe(true)
    expect(await next.release()).toBe(true)
  }, 120_000)
})
