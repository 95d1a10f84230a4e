import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { type RedisCluster, startCluster } from '../support/cluster.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import type { Findings, Orders } from './interleaving-process.js'
import { startWorker, type Worker } from './processes.js'

const FULL = process.env.HOLDFAST_TEST_FULL !== undefined
const PROCESSES = FULL ? 6 : 3
const OPERATIONS = FULL ? 6000 : 400

/** In each process so many operations; one process dies halfway, and another takes its place. */
async function race(place: object): Promise<Findings[]> {
  const start = (): Worker => startWorker('interleaving-process.ts', [JSON.stringify(place)])
  const workers = Array.from({ length: PROCESSES }, start)
  const dying = start()
  try {
    await Promise.all([...workers, dying].map(({ ready }) => ready))
    const order = (one: Worker, seed: number, operations: number): Promise<Findings> =>
      one.ask<Findings>({ operations, seed } satisfies Orders)
    const endless = order(dying, 1, Number.MAX_SAFE_INTEGER).catch(() => undefined)
    const half = Math.ceil(OPERATIONS / 2)
    const seed = Math.floor(Math.random() * 1e9)
    const first = await Promise.all(workers.map((one, index) => order(one, seed + index, half)))
    await dying.kill()
    await endless
    const second = await Promise.all(workers.map((one, index) => order(one, seed - index - 1, half)))
    return [...first, ...second]
  } finally {
    await Promise.all([...workers, dying].map((one) => one.kill()))
  }
}

function expectExact(findings: readonly Findings[]): void {
  expect(findings.flatMap(({ violations }) => violations)).toEqual([])
  const sum = (of: (one: Findings) => number): number => findings.reduce((total, one) => total + of(one), 0)
  const [reads, computed] = [sum((one) => one.reads), sum((one) => one.computed)]
  expect(reads).toBeGreaterThan(OPERATIONS)
  expect(sum((one) => one.changes)).toBeGreaterThan(OPERATIONS / 5)
  // Otherwise nothing was cached that could have been old.
  expect(reads - computed).toBeGreaterThan(reads / 10)
}

const LIMIT_MS = FULL ? 900_000 : 120_000

describe('several processes, one of which dies: no read that begins after an invalidation is given older data', () => {
  let server: RedisServer
  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server.stop())

  it('in Redis', async () => expectExact(await race({ url: server.url, local: false })), LIMIT_MS)
  it('with local copies', async () => expectExact(await race({ url: server.url, local: true })), LIMIT_MS)
})

describe('the same on a Cluster of six', () => {
  let cluster: RedisCluster
  beforeAll(async () => {
    cluster = await startCluster()
  }, 60_000)
  afterAll(() => cluster.stop())

  const modes = FULL ? [false, true] : [false]
  it.each(modes)(
    'local copies: %s',
    async (local) => expectExact(await race({ nodes: cluster.nodes, local })),
    LIMIT_MS,
  )
})
