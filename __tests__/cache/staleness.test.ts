import { afterAll, afterEach, beforeAll, beforeEach, it } from '@jest/globals'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { type Peer, peer } from './world.js'

const ENTRY = 'holdfast:cache:default:0:{key}'
const WRITES = process.env.HOLDFAST_TEST_FULL === undefined ? 20 : 200
/** A batch that met a busy moment of the machine says nothing about the cache; five in a row do. */
const BATCHES = 5

let server: RedisServer
let one: Peer

beforeAll(async () => {
  server = await startRedis()
})
afterAll(() => server.stop())
beforeEach(async () => {
  await server.client().flushall()
  one = await peer({ url: server.url }, { local: true })
})
afterEach(() => one.close())

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Stored, and read from Redis until this process has a copy. */
async function keep(): Promise<void> {
  await one.cache.set('key', 'old', { tags: ['tag'] })
  for (;;) {
    const { localHits } = one.cache.stats()
    await one.cache.getOrSet('key', () => 'not expected', { tags: ['tag'] })
    if (one.cache.stats().localHits > localHits) return
  }
}

/** Milliseconds for which the copy outlived what ended it, looking in every turn of the event loop. */
async function staleFor(end: () => Promise<unknown>): Promise<number> {
  await keep()
  await end()
  const ended = performance.now()
  while ((await one.cache.get('key')) !== undefined) await turn()
  return performance.now() - ended
}

async function roundTrip(): Promise<number> {
  const started = performance.now()
  await server.client().ping()
  await turn()
  return performance.now() - started
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] as number
}

type Client = ReturnType<RedisServer['client']>

it.each([
  ['SET', (client) => client.set(ENTRY, 'foreign'), 50],
  ['DEL', (client) => client.del(ENTRY), 50],
  ['FLUSHDB', (client) => client.flushdb(), 50],
  ['the DEL of a tag', (client) => client.del('holdfast:cache:{default}:0:t:tag'), 50],
  // Redis looks for what has expired ten times a second; what expires is removed, and announced, by then.
  ['expiry', (client) => client.pexpire(ENTRY, 1), 250],
] as [string, (client: Client) => Promise<unknown>, number][])(
  'a copy is gone soon after a %s by somebody else',
  async (name, end, bound) => {
    const medians: string[] = []
    for (let batch = 0; batch < BATCHES; batch++) {
      const stale: number[] = []
      const trips: number[] = []
      for (let write = 0; write < WRITES; write++) {
        trips.push(await roundTrip())
        stale.push(await staleFor(() => end(server.client())))
      }
      // What a slow machine adds it adds to any round trip.
      const allowed = bound + 10 * median(trips)
      medians.push(`${median(stale).toFixed(2)} ms (greatest ${Math.max(...stale).toFixed(1)} ms)`)
      if (process.env.HOLDFAST_TEST_SHOW !== undefined) console.log(`${name}: ${medians.at(-1)}`)
      if (median(stale) <= allowed) return
    }
    throw new Error(`medians of ${WRITES} writes after ${name}: ${medians.join(', ')}`)
  },
  120_000,
)
