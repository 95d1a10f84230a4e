import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals'
import fc from 'fast-check'
import type { CacheOptions } from '../../src/cache/index.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { type Peer, peer } from './world.js'

const KEYS = ['a:1', 'a:2', 'b:1'] as const
type Key = (typeof KEYS)[number]
// Not `set`: its value is the caller's, from before the call, and of a set and a deletion at one time either may be last.
type Ending = 'delete' | 'tag' | 'both' | 'pattern' | 'clear' | 'through'
type Step =
  | { readonly kind: 'read'; readonly by: number; readonly key: Key; readonly pause: number; readonly slow: number }
  | { readonly kind: 'change'; readonly by: number; readonly key: Key; readonly pause: number; readonly how: Ending }
  | { readonly kind: 'evict'; readonly pause: number; readonly which: number }

const by = fc.nat(2)
const key = fc.constantFrom(...KEYS)
const pause = fc.integer({ min: 0, max: 6 })
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('read' as const), by, key, pause, slow: fc.nat(12) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('change' as const),
      ...{ by, key, pause },
      how: fc.constantFrom<Ending>('delete', 'tag', 'both', 'pattern', 'clear', 'through'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('evict' as const), pause, which: fc.nat(20) }) },
)

const RUNS = process.env.HOLDFAST_TEST_FULL === undefined ? 12 : 100

let server: RedisServer
let peers: Peer[] = []

beforeAll(async () => {
  server = await startRedis()
})
afterAll(() => server.stop())
afterEach(async () => {
  await Promise.all(peers.splice(0).map((each) => each.close()))
})

/**
 * Runs the steps at the same time, each after its pause. A source counts up; whoever changes it ends what is cached of
 * it. `graceMs` after that ending has returned, no read that begins may be given an older count, wherever it is made.
 */
async function run(steps: readonly Step[], round: number, graceMs: number): Promise<string[]> {
  const violations: string[] = []
  const source = new Map<Key, number>(KEYS.map((each) => [each, 1]))
  const floors: { readonly key: Key; readonly count: number; readonly at: number }[] = []
  const countOf = (each: Key): number => source.get(each) as number
  const floorOf = (each: Key, now: number): number =>
    Math.max(0, ...floors.filter((floor) => floor.key === each && floor.at + graceMs <= now).map(({ count }) => count))
  const options = (each: Key) => ({ tags: [`${round} ${each}`, `${round} ${each[0]}`], refreshAhead: 0.5, ttl: 400 })
  const cacheKey = (each: Key): string => `${round}:${each}`

  async function read(by: number, each: Key, slow: number): Promise<void> {
    const floor = floorOf(each, performance.now())
    const compute = async (): Promise<number> => {
      const count = countOf(each)
      await sleep(slow)
      return count
    }
    const count = await (peers[by] as Peer).cache.getOrSet(cacheKey(each), compute, options(each))
    if (count < floor) violations.push(`read ${count} of ${each}, at least ${floor} was due`)
  }

  async function change(by: number, each: Key, how: Ending): Promise<void> {
    const { cache } = peers[by] as Peer
    const changed: Key[] = how === 'both' || how === 'pattern' ? KEYS.filter((one) => one[0] === each[0]) : [each]
    for (const one of changed) source.set(one, countOf(one) + 1)
    const counts = changed.map((one) => ({ key: one, count: countOf(one) }))
    if (how === 'delete') await cache.delete(cacheKey(each))
    else if (how === 'tag') await cache.invalidateTags(`${round} ${each}`)
    else if (how === 'both') await cache.invalidateTags(`${round} ${each[0]}`)
    else if (how === 'pattern') await cache.invalidatePattern(`${round}:${each[0]}*`)
    else if (how === 'clear') await cache.clear()
    else await cache.writeThrough(cacheKey(each), () => countOf(each), options(each))
    for (const floor of counts) floors.push({ ...floor, at: performance.now() })
  }

  await Promise.all(
    steps.map(async (one) => {
      await sleep(one.pause)
      if (one.kind === 'read') return read(one.by, one.key, one.slow)
      if (one.kind === 'change') return change(one.by, one.key, one.how)
      const keys = await server.client().keys('*')
      if (one.which === 20) await server.client().flushall()
      else if (keys.length > 0) await server.client().del(keys[one.which % keys.length] as string)
    }),
  )
  await Promise.all(KEYS.map((each) => change(0, each, 'tag')))
  await sleep(graceMs)
  await Promise.all(KEYS.flatMap((each) => [0, 1, 2].map((one) => read(one, each, 0))))
  return violations
}

it.each([
  ['in Redis', {}, 0],
  ['in Redis, compressed', { compression: { threshold: 1 } }, 0],
  ['with local copies by tracking', { local: true }, 150],
  ['with local copies by pub/sub', { local: { mode: 'pubsub' } }, 150],
] as [string, Omit<CacheOptions, 'redis'>, number][])(
  'no read that begins after an invalidation sees older data, whatever else happens at the time: %s',
  async (_name, options, graceMs) => {
    peers = await Promise.all([0, 1, 2].map(() => peer({ url: server.url }, options)))
    let round = 0
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 60 }), async (steps) => {
        expect(await run(steps, ++round, graceMs)).toEqual([])
      }),
      { numRuns: RUNS, endOnFailure: true },
    )
  },
  180_000,
)
