import { setTimeout as sleep } from 'node:timers/promises'
import { Cluster, Redis } from 'ioredis'
import { createCache } from '../../src/cache/index.js'
import { createRedisManager } from '../../src/redis/index.js'

/*
 * Reads, changes and evicts at random, beside others that do the same. The source counts up, and lies in Redis. Whoever
 * has changed it ends what is cached of it, and once that has returned raises the floor of the key. Whoever reads looks
 * at the floor first: what it is given may not be older.
 */
export interface Orders {
  readonly operations: number
  readonly seed: number
}

export interface Findings {
  readonly violations: readonly string[]
  readonly reads: number
  readonly computed: number
  readonly changes: number
}

interface Place {
  readonly url?: string
  readonly nodes?: readonly { host: string; port: number }[]
  readonly local: boolean
}

const KEYS = ['a:1', 'a:2', 'b:1', 'b:2', 'c:1', 'c:2']
const AT_ONCE = 8
/** Copies in other processes follow by announcement. */
const GRACE_MS = 1000

const { url, nodes, local } = JSON.parse(process.argv[2] as string) as Place
const patient = { logger: false, commandTimeout: '20s', connectTimeout: '20s' } as const
const redis = createRedisManager(nodes === undefined ? { url, ...patient } : { cluster: { nodes }, ...patient })
// Flushing the cache leaves the source: another database, or on a Cluster, which has but one, no flushing.
const source = nodes === undefined ? new Redis(url as string, { db: 1 }) : new Cluster([...nodes])
source.on('error', () => {})
const cache = createCache({ redis, namespace: 'races', local, ttl: 2000, refreshAhead: 0.5, leaseTime: '2s' })

const RAISE = `
local floor = tonumber(redis.call('GET', KEYS[1]) or '0')
if tonumber(ARGV[1]) > floor then redis.call('SET', KEYS[1], ARGV[1]) end`

process.on('message', async (orders: Orders) => process.send?.(await run(orders)))
if (!(await redis.ready('20s'))) throw new Error('no Redis')
while (local && cache.stats().local.mode === 'off') await sleep(20)
process.send?.('ready')

async function run({ operations, seed }: Orders): Promise<Findings> {
  const random = randomFrom(seed)
  const violations: string[] = []
  const counts = { reads: 0, computed: 0, changes: 0 }
  const raising: Promise<unknown>[] = []
  const tagsOf = (key: string): string[] => [key, key[0] as string]

  async function read(key: string, slow: number): Promise<void> {
    const floor = Number(await source.get(`floor:${key}`))
    // What else has arrived by now is heard first.
    await new Promise((resolve) => setImmediate(resolve))
    const compute = async (): Promise<number> => {
      counts.computed++
      const count = Number(await source.get(`source:${key}`))
      await sleep(slow)
      return count
    }
    const count = await cache.getOrSet(key, compute, { tags: tagsOf(key), waitTimeout: '20s' })
    counts.reads++
    if (count < floor) violations.push(`read ${count} of ${key}, at least ${floor} was due`)
  }

  async function change(key: string, how: number): Promise<void> {
    const wide = how === 2 || how === 3
    const changed = wide ? KEYS.filter((one) => one[0] === key[0]) : [key]
    const floors = await Promise.all(changed.map(async (one) => ({ one, count: await source.incr(`source:${one}`) })))
    const ended = await [
      () => cache.delete(key),
      () => cache.invalidateTags(key),
      () => cache.invalidateTags(key[0] as string),
      () => cache.invalidatePattern(`${key[0]}*`),
      () => cache.clear(),
      () =>
        cache
          .writeThrough(key, async () => Number(await source.get(`source:${key}`)), { tags: tagsOf(key) })
          .then(() => true),
    ][how]?.()
    counts.changes++
    if (ended !== true) return
    const raise = async (): Promise<void> => {
      if (local) await sleep(GRACE_MS)
      for (const { one, count } of floors) await source.eval(RAISE, 1, `floor:${one}`, count)
    }
    raising.push(raise())
    if (!local) await raising.at(-1)
  }

  async function disturb(which: number): Promise<void> {
    if (nodes === undefined && which < 0.1) {
      await redis.execute('flush', (client) => (client as Redis).flushdb())
    } else {
      const key = KEYS[Math.floor(which * KEYS.length)] as string
      const versions = [`{races}:0:t:${key.replace(':', '%3a')}`, '{races}:0:g', `races:0:{${key.replace(':', '%3a')}}`]
      const evicted = versions[Math.floor(which * 100) % 3] as string
      await redis.execute('evict', (client) => client.del(`holdfast:cache:${evicted}`))
    }
  }

  let left = operations
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      while (left-- > 0) {
        const [kind, which, how, slow] = [random(), random(), random(), random()]
        const key = KEYS[Math.floor(which * KEYS.length)] as string
        if (kind < 0.75) await read(key, slow * 12)
        else if (kind < 0.97) await change(key, Math.floor(how * 6))
        else await disturb(which)
      }
    }),
  )
  await Promise.all(raising)
  await Promise.all(KEYS.map((key) => read(key, 0)))
  return { violations, ...counts }
}

/** Mulberry32: the same numbers for the same seed. */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}
