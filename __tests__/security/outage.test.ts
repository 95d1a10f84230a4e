import { afterEach, describe, expect, it } from '@jest/globals'
import { createRedisManager, type RedisManager } from '../../src/redis/index.js'
import { createSecurityLog, type SecurityLog, type SecurityLogOptions } from '../../src/security/index.js'
import { eventually } from '../support/eventually.js'
import { startProxy } from '../support/proxy.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { collect, rawStream } from './support.js'

const cleanUp: (() => unknown)[] = []
afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step()
})

async function start(options: Partial<SecurityLogOptions> = {}, port?: number) {
  const server = await startRedis()
  const redis = createRedisManager({ url: `redis://127.0.0.1:${port ?? server.port}`, logger: false })
  const sink = collect()
  const log = createSecurityLog({ redis, sink, maxEvents: 1_000_000, ...options })
  cleanUp.push(
    () => server.stop(),
    () => redis.close(),
    () => log.close(),
  )
  await redis.ready()
  return { server, redis, sink, log }
}

const LEVELS = ['info', 'warn', 'critical'] as const
const recordMany = (log: SecurityLog, count: number): string[] =>
  Array.from({ length: count }, (_, n) => log.record('sys_startup', { level: LEVELS[n % 3], n }))

async function kill(server: RedisServer, redis: RedisManager): Promise<void> {
  await server.kill()
  await eventually(() => !redis.available)
}

describe('securityLog when Redis is away', () => {
  it('loses none of 9,999 events in three levels, writes each once, and tells of the gap', async () => {
    const { server, redis, log } = await start()
    log.record('sys_startup')
    await log.flush()
    await kill(server, redis)
    const ids = recordMany(log, 9999)
    expect(log.stats().buffered).toBe(9999)
    await server.restart()
    await eventually(() => log.stats().buffered === 0 && log.stats().written >= 10_001, { within: 10_000 })
    const stored = (await rawStream(server)).map(({ event }) => event)
    const mine = stored.filter(({ event }) => event !== 'sys_monitor_enabled')
    expect(mine.map(({ id }) => id)).toEqual(ids)
    const gaps = stored.filter(({ event }) => event === 'sys_monitor_enabled')
    expect(gaps).toHaveLength(1)
    expect(gaps[0]?.details).toMatchObject({ buffered: 9999, dropped: { info: 0, warn: 0, critical: 0 } })
  })

  it('of 50,000 events keeps the promised 10,000: all that is critical, the newest of the rest; and counts the others', async () => {
    const { server, redis, sink, log } = await start({ maxBufferedBytes: 100_000_000 })
    const drops: unknown[] = []
    const warnings: string[] = []
    redis.on('security.dropped', (event) => drops.push(event))
    redis.on('warning', ({ code }) => warnings.push(code))
    await kill(server, redis)
    const level = (n: number) => (n % 10 === 0 ? 'critical' : n % 10 < 4 ? 'warn' : 'info')
    for (let n = 0; n < 50_000; n++) log.record('sys_startup', { level: level(n), n })
    expect(sink.events).toHaveLength(50_000)
    await server.restart()
    await eventually(() => log.stats().buffered === 0 && drops.length === 1, { within: 15_000 })
    const stored = (await rawStream(server)).map(({ event }) => event)
    const kept = stored.filter(({ event }) => event === 'sys_startup').map(({ details }) => details?.n as number)
    // 5,000 critical ones; every fifth place is kept for those, so 15,000 warnings share what is left: 5,000 places.
    const critical = kept.filter((n) => level(n) === 'critical')
    const warn = kept.filter((n) => level(n) === 'warn')
    expect(critical).toHaveLength(5000)
    expect(warn).toEqual(
      Array.from({ length: 50_000 }, (_, n) => n)
        .filter((n) => level(n) === 'warn')
        .slice(-5000),
    )
    expect(kept).toHaveLength(10_000)
    expect(drops).toEqual([
      expect.objectContaining({ dropped: { info: 30_000, warn: 10_000, critical: 0 }, buffered: 50_000 }),
    ])
    expect(stored.find(({ event }) => event === 'sys_monitor_enabled')?.details?.dropped).toEqual({
      info: 30_000,
      warn: 10_000,
      critical: 0,
    })
    expect(warnings.filter((code) => code === 'HOLDFAST_SECURITY_DROPPED')).toHaveLength(1)
  })

  it('writes each event once where Redis was hung and the outcome of a batch is unknown', async () => {
    const { server, redis, log } = await start()
    const ids = recordMany(log, 100)
    server.pause()
    for (let i = 0; i < 20; i++) {
      ids.push(...recordMany(log, 100))
      await new Promise((resolve) => setTimeout(resolve, 30))
    }
    await eventually(() => !redis.available, { within: 5000 })
    server.resume()
    await eventually(() => log.stats().buffered === 0, { within: 10_000 })
    const stored = (await rawStream(server)).map(({ event }) => event)
    expect(stored.filter(({ event }) => event === 'sys_startup').map(({ id }) => id)).toEqual(ids)
  })

  it('writes each event once where connections break in the middle of batches', async () => {
    const server = await startRedis()
    const proxy = await startProxy(server.port)
    const redis = createRedisManager({ url: proxy.url, logger: false })
    const log = createSecurityLog({ redis, sink: () => {}, maxEvents: 1_000_000, flushInterval: 0 })
    cleanUp.push(
      () => server.stop(),
      () => proxy.stop(),
      () => redis.close(),
      () => log.close(),
    )
    await redis.ready()
    const ids: string[] = []
    for (let i = 0; i < 15; i++) {
      ids.push(...recordMany(log, 300))
      await new Promise((resolve) => setTimeout(resolve, (i * 7) % 20))
      proxy.reset()
      await eventually(() => redis.available, { within: 5000 })
    }
    await eventually(() => log.stats().buffered === 0, { within: 10_000 })
    const stored = (await rawStream(server)).map(({ event }) => event)
    expect(stored.filter(({ event }) => event === 'sys_startup').map(({ id }) => id)).toEqual(ids)
  })

  it('writes each event once where Redis is too slow for large batches', async () => {
    const { server, log } = await start({ flushInterval: 0 })
    const slow = setInterval(
      () =>
        void server
          .client()
          .call('DEBUG', 'SLEEP', '0.06')
          .catch(() => {}),
      70,
    )
    cleanUp.push(() => clearInterval(slow))
    const ids = recordMany(log, 3000)
    await new Promise((resolve) => setTimeout(resolve, 1500))
    clearInterval(slow)
    await eventually(() => log.stats().buffered === 0, { within: 20_000 })
    const stored = (await rawStream(server)).map(({ event }) => event)
    expect(stored.filter(({ event }) => event === 'sys_startup').map(({ id }) => id)).toEqual(ids)
  })

  it('goes on in order when Redis refuses a batch in the middle', async () => {
    const { server, log } = await start()
    const audit = 'holdfast:security:log:{security-0}:audit'
    await server.client().set(audit, 'in the way')
    const ids = [log.record('sys_startup'), log.record('sys_startup', { audit: true }), log.record('sys_startup')]
    expect(await log.flush(500)).toBe(false)
    expect(await rawStream(server)).toHaveLength(1)
    await server.client().del(audit)
    await eventually(() => log.stats().buffered === 0, { within: 5000 })
    expect((await rawStream(server)).map(({ event }) => event.id)).toEqual([ids[0], ids[2]])
    expect((await rawStream(server, audit)).map(({ event }) => event.id)).toEqual([ids[1]])
  })

  it('answers a flush in time and false, and closes in time, while Redis is hung', async () => {
    const { server, log } = await start()
    server.pause()
    log.record('sys_startup')
    const started = performance.now()
    expect(await log.flush(300)).toBe(false)
    await log.close()
    expect(performance.now() - started).toBeLessThan(4000)
    server.resume()
  })

  it('makes no gap of the moment before the first connection', async () => {
    const server = await startRedis()
    const redis = createRedisManager({ url: server.url, logger: false })
    const log = createSecurityLog({ redis, sink: () => {} })
    cleanUp.push(
      () => server.stop(),
      () => redis.close(),
      () => log.close(),
    )
    log.record('sys_startup')
    await eventually(() => log.stats().written === 1)
    await log.flush()
    expect((await rawStream(server)).map(({ event }) => event.event)).toEqual(['sys_startup'])
  })
})
