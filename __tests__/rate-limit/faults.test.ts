import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { createRateLimiter, type RateLimiter } from '../../src/rate-limit/index.js'
import { createRedisManager, type RedisManager, type RedisManagerOptions } from '../../src/redis/index.js'
import { eventually } from '../support/eventually.js'
import { freePort } from '../support/free-port.js'
import { startProxy } from '../support/proxy.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { startSentinels } from '../support/sentinel.js'

const DEADLINE_MS = 75
/** What a busy machine may add to what our own deadline bounds. */
const SLACK_MS = 1000
/** What a busy machine may add to the server's side of a recovery. */
const SERVER_SLACK_MS = 2000
const LIMIT = 400
const FULL = process.env.HOLDFAST_TEST_FULL === '1'

interface Fault {
  readonly begin: () => unknown
  readonly end: () => unknown
  /** How long Redis may take to be used again once the fault is over. */
  readonly recoversWithin?: number
}

const rejections: unknown[] = []
const note = (reason: unknown): void => void rejections.push(reason)
beforeAll(() => void process.on('unhandledRejection', note))
afterAll(() => {
  process.off('unhandledRejection', note)
  expect(rejections).toEqual([])
})

/**
 * 200 calls a second on one key with a limit of 400 and a memory fallback: half a second of health, a second of the
 * fault, then until Redis decides again.
 */
async function suffer(title: string, redis: RedisManager, fault: Fault): Promise<RateLimiter> {
  const limiter = createRateLimiter({
    redis,
    name: 'faults',
    limit: LIMIT,
    window: '1m',
    onUnavailable: 'memory',
    remembered: 0,
  })
  const delay = monitorEventLoopDelay({ resolution: 5 })
  delay.enable()
  const times: number[] = []
  const admitted = { redis: 0, memory: 0 }
  const pending = new Set<Promise<void>>()
  let calls = 0
  let byRedisAt = 0
  const call = async (): Promise<void> => {
    calls++
    const started = performance.now()
    const { allowed, source } = await limiter.consume('one')
    times.push(performance.now() - started)
    if (source === 'redis') byRedisAt = performance.now()
    if (allowed && (source === 'redis' || source === 'memory')) admitted[source]++
  }
  const load = setInterval(() => {
    const it = call().finally(() => pending.delete(it))
    pending.add(it)
  }, 5)
  await sleep(500)
  await fault.begin()
  await sleep(1000)
  await fault.end()
  const over = performance.now()
  await eventually(() => byRedisAt > over, { within: 10_000 })
  const recovery = byRedisAt - over
  clearInterval(load)
  await Promise.all(pending)
  delay.disable()

  const sorted = times.sort((a, b) => a - b)
  const lag = delay.max / 1e6
  const worst = sorted.at(-1) as number
  expect(times).toHaveLength(calls)
  expect(worst).toBeLessThanOrEqual(DEADLINE_MS + SLACK_MS + lag)
  expect(admitted.memory).toBeLessThanOrEqual(LIMIT)
  expect(recovery).toBeLessThan((fault.recoversWithin ?? 1000) + SERVER_SLACK_MS + lag)
  // Nothing was sent twice: Redis has counted no more than was asked for.
  const { tightest } = await eventually(() => limiter.peek('one'), { within: 10_000 })
  expect(tightest.used).toBeLessThanOrEqual(Math.min(LIMIT, calls))
  if (FULL) {
    const p99 = sorted[Math.floor(sorted.length * 0.99)] as number
    const row = [title, calls, admitted.redis, admitted.memory, p99.toFixed(1), worst.toFixed(1), recovery.toFixed(0)]
    process.stdout.write(`| ${row.join(' | ')} |\n`)
  }
  return limiter
}

async function withRedis(
  title: string,
  faultOf: (server: RedisServer) => Fault | Promise<Fault>,
  url: (server: RedisServer) => string = (server) => server.url,
): Promise<void> {
  const server = await startRedis()
  const redis = manager({ url: url(server) })
  try {
    await redis.ready()
    await suffer(title, redis, await faultOf(server))
  } finally {
    await redis.close()
    await server.stop()
  }
}

const manager = (options: RedisManagerOptions): RedisManager =>
  createRedisManager({ logger: false, commandTimeout: DEADLINE_MS, ...options })

describe('under load, no call waits past its deadline, the budget holds and Redis counts again, when Redis is', () => {
  it('killed and restarted', () =>
    withRedis('killed and restarted', (server) => ({ begin: () => server.kill(), end: () => server.restart() })))

  it('hung', () =>
    withRedis('hung (SIGSTOP)', (server) => ({ begin: () => server.pause(), end: () => server.resume() })))

  it('without its scripts', () =>
    withRedis('SCRIPT FLUSH', (server) => {
      const flush = () => server.client().script('FLUSH')
      return { begin: flush, end: flush }
    }))

  it('cutting connections', () =>
    withRedis('CLIENT KILL', (server) => {
      const cut = () => server.client().call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
      return { begin: cut, end: cut }
    }))

  it('out of memory, with noeviction', () =>
    withRedis('out of memory (noeviction)', (server) => ({
      begin: () => server.client().config('SET', 'maxmemory', '1'),
      end: () => server.client().config('SET', 'maxmemory', '0'),
    })))

  it('slow by 200 ms', async () => {
    const server = await startRedis()
    const proxy = await startProxy(server.port)
    const redis = manager({ url: proxy.url })
    await redis.ready()
    await suffer('+200 ms', redis, { begin: () => proxy.latency(200), end: () => proxy.pass() })
    await redis.close()
    await proxy.stop()
    await server.stop()
  })

  it('absent at boot', async () => {
    const port = await freePort()
    const redis = manager({ url: `redis://127.0.0.1:${port}` })
    let server: RedisServer | undefined
    await suffer('absent at boot', redis, {
      begin: () => {},
      end: async () => {
        server = await startRedis({ port })
      },
    })
    await redis.close()
    await server?.stop()
  })

  it('failing over to its replica', async () => {
    const { name, sentinels, master, stop } = await startSentinels()
    const redis = manager({ sentinel: { name, nodes: sentinels } })
    try {
      expect(await redis.ready(5000)).toBe(true)
      // Sentinels take their time to agree; ours starts when they have.
      await suffer('failover', redis, { begin: () => master.kill(), end: () => {}, recoversWithin: 8000 })
    } finally {
      await redis.close()
      await stop()
    }
  })
})
