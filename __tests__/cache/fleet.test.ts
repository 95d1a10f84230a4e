import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, expect, it } from '@jest/globals'
import { eventually } from '../support/eventually.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { startWorker } from './processes.js'
import { deferred, type Peer, peer } from './world.js'

const PROCESSES = 8
/** As `warm-process.ts` has it. */
const LOCK_MS = 2000
let server: RedisServer

beforeAll(async () => {
  server = await startRedis()
})
afterAll(() => server.stop())
beforeEach(async () => {
  await server.client().flushall()
})

it.each(['local', 'shared'])(
  '8 processes with 100 callers each compute one cold key exactly once (%s)',
  async (local) => {
    const workers = Array.from({ length: PROCESSES }, () => startWorker('fleet-process.ts', [server.url, local]))
    try {
      await Promise.all(workers.map(({ ready }) => ready))
      const given = await Promise.all(workers.map((one) => one.ask<{ values: number[]; misses: number }>('go')))
      expect(given.map(({ values }) => values)).toEqual(given.map(() => [1]))
      expect(given.reduce((sum, { misses }) => sum + misses, 0)).toBe(1)
      expect(await server.client().get('computations')).toBe('1')
    } finally {
      await Promise.all(workers.map((one) => one.kill()))
    }
  },
  120_000,
)

it('a thousand cold keys asked for by three peers at once are computed once each', async () => {
  // Three thousand calls begin in one turn of the event loop: on a slow machine that alone outlasts the usual patience.
  const patience = { commandTimeout: '10s', connectTimeout: '10s' } as const
  const peers: Peer[] = await Promise.all(
    [1, 2, 3].map(() => peer({ url: server.url, ...patience }, { namespace: 'many' })),
  )
  let runs = 0
  const keys = Array.from({ length: 1000 }, (_, i) => `key ${i}`)
  await Promise.all(
    keys.flatMap((key) =>
      peers.map(({ cache }) => cache.getOrSet(key, async () => ++runs && key, { waitTimeout: '30s' })),
    ),
  )
  expect(runs).toBe(1000)
  await Promise.all(peers.map((each) => each.close()))
}, 60_000)

it('warms in one process at a time, with progress, and again on demand', async () => {
  const peers = await Promise.all([1, 2].map(() => peer({ url: server.url }, { namespace: 'warm' })))
  const [one, two] = peers.map(({ cache }) => cache)
  if (one === undefined || two === undefined) throw new Error('two peers')
  const go = deferred()
  let [atWork, most] = [0, 0]
  const loaders = Array.from({ length: 10 }, (_, i) => ({
    key: `page ${i}`,
    tags: ['pages'],
    load: async () => {
      most = Math.max(most, ++atWork)
      await go.promise
      atWork--
      if (i === 3) throw new Error('no page 3')
      return i
    },
  }))
  const seen: number[] = []
  const first = one.warm(loaders, { concurrency: 3, onProgress: ({ done, failed }) => seen.push(done + failed) })
  await eventually(() => atWork === 3)
  expect(await two.warm(loaders)).toEqual({ total: 10, done: 0, failed: 0, skipped: true })
  go.resolve()
  expect(await first).toEqual({ total: 10, done: 9, failed: 1, skipped: false })
  expect(most).toBe(3)
  expect(seen).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  expect(await two.get('page 7')).toBe(7)
  await two.invalidateTags('pages')
  expect((await two.warm(loaders)).done).toBe(9)
  const { misses } = two.stats()
  await two.warm(loaders.slice(0, 3))
  expect(two.stats().misses).toBe(misses)
  await two.warm(loaders.slice(0, 3), { force: true })
  expect(two.stats().misses).toBe(misses + 3)
  await Promise.all(peers.map((each) => each.close()))
})

it('refuses to warm with options that are none', async () => {
  const one = await peer({ url: server.url }, { namespace: 'warm' })
  const loaders = [{ key: 'page', load: () => 1 }]
  for (const options of [{ concurrency: 0 }, { concurrency: Number.NaN }, { onProgress: 1 }, { forced: true }]) {
    await expect(one.cache.warm(loaders, options as never)).rejects.toMatchObject({ code: 'ERR_HOLDFAST_CONFIG' })
  }
  expect(await one.cache.get('page')).toBeUndefined()
  await one.close()
})

it('warms where the process that was at it has died, once its lock has ended', async () => {
  const worker = startWorker('warm-process.ts', [server.url])
  const one = await peer({ url: server.url }, { namespace: 'dying' })
  try {
    await worker.ready
    const loaders = [{ key: 'page', load: () => 'here' }]
    // The lock is renewed for as long as its holder lives.
    await sleep(2 * LOCK_MS)
    expect(await one.cache.warm(loaders)).toMatchObject({ skipped: true })
    await worker.kill()
    await eventually(async () => (await one.cache.warm(loaders)).done === 1, { within: 20_000, every: 200 })
    expect(await one.cache.get('page')).toBe('here')
  } finally {
    await worker.kill()
    await one.close()
  }
}, 60_000)

it('warms at boot where CACHE_WARM_ON_START says so, and on an interval', async () => {
  let runs = 0
  const loaders = [{ key: 'page', load: () => ++runs }]
  const booted = await peer({ url: server.url }, { warm: { loaders }, env: { CACHE_WARM_ON_START: 'true' } })
  await eventually(async () => (await booted.cache.get('page')) === 1)
  await booted.close()
  const timed = await peer({ url: server.url }, { warm: { loaders, every: 1000 } })
  await eventually(() => runs >= 2)
  await timed.close()
  const idle = await peer({ url: server.url }, { warm: { loaders } })
  const before = runs
  await new Promise((resolve) => setTimeout(resolve, 100))
  expect(runs).toBe(before)
  await idle.close()
})
