import { describe, expect, it } from '@jest/globals'
import { createRedisManager, type RedisManager } from '../../src/redis/index.js'
import { createSecurityLog, type SecurityLogOptions } from '../../src/security/index.js'
import type { RedisServer } from '../support/redis-server.js'
import { useRedis } from '../support/use-redis.js'
import { collect, rawStream } from './support.js'

let server: RedisServer
let redis: RedisManager
let count = 0

useRedis((own) => {
  server = own.server
  redis = own.redis
})

/** A log under a prefix of its own. */
async function withLog<Own extends `${string}.${string}` = never>(
  options: Partial<SecurityLogOptions<Own>> = {},
): Promise<{
  log: ReturnType<typeof createSecurityLog<Own>>
  own: RedisManager
  sink: ReturnType<typeof collect>
  key: string
  end: () => Promise<void>
}> {
  const keyPrefix = `log${count++}`
  const own = createRedisManager({ url: server.url, logger: false, keyPrefix, commandTimeout: 2000 })
  await own.ready()
  const sink = collect()
  const log = createSecurityLog<Own>({ redis: own, sink, ...options })
  const end = async (): Promise<void> => {
    await log.close()
    await own.close()
  }
  return { log, own, sink, key: `${keyPrefix}:security:log:{security-0}:security`, end }
}

describe('securityLog: recording', () => {
  it('is in the local sink at once and in a capped stream with the next batch', async () => {
    const { log, sink, key, end } = await withLog()
    const id = log.record('authn_login_fail', { userId: 'u1', reason: 'wrong password' })
    expect(sink.events.map((event) => event.id)).toEqual([id])
    expect(await log.flush()).toBe(true)
    const [entry] = await rawStream(server, key)
    expect(entry?.event).toMatchObject({
      id,
      event: 'authn_login_fail',
      level: 'warn',
      outcome: 'failure',
      userId: 'u1',
    })
    expect(entry?.fields).toMatchObject({ id, ts: String(Date.parse(entry?.event.ts ?? '')), s: '0' })
    await end()
  })

  it('writes by itself, without a flush', async () => {
    const { log, key, end } = await withLog({ flushInterval: 5 })
    log.record('sys_startup')
    const started = performance.now()
    while ((await rawStream(server, key)).length === 0) expect(performance.now() - started).toBeLessThan(2000)
    await end()
  })

  it('takes logSecurityEvent(userId, type, details) and old-style names', async () => {
    const { log, sink, end } = await withLog()
    log.logSecurityEvent('u7', 'LOGIN_FAILED', { attempt: 3 })
    expect(sink.events[0]).toMatchObject({ event: 'authn_login_fail', userId: 'u7', details: { attempt: 3 } })
    await end()
  })

  it('knows registered names of your own, and keeps what nobody knows under a name of its own', async () => {
    const { log, sink, end } = await withLog({ events: { 'shop.abuse': 'critical' } })
    log.record('shop.abuse')
    // @ts-expect-error a misspelt name does not compile
    log.record('authn_login_fial')
    // @ts-expect-error nor does a name that was not registered
    log.record('shop.abuze')
    expect(sink.events.map(({ event, level }) => [event, level])).toEqual([
      ['shop.abuse', 'critical'],
      ['holdfast.unregistered', 'warn'],
      ['shop.abuze', 'info'],
    ])
    expect(sink.events[1]?.details).toEqual({ name: 'authn_login_fial' })
    await end()
  })

  it('survives a sink that throws', async () => {
    const { log, key, end } = await withLog({
      sink: () => {
        throw new Error('disk full')
      },
    })
    expect(log.record('sys_startup')).toHaveLength(26)
    await log.flush()
    expect(await rawStream(server, key)).toHaveLength(1)
    await end()
  })

  it('writes to a logger with the methods of pino', async () => {
    const lines: [string, object, string][] = []
    const method = (level: string) => (event: object, message: string) => void lines.push([level, event, message])
    const { log, end } = await withLog({ sink: { info: method('info'), warn: method('warn'), error: method('error') } })
    log.record('authn_login_success')
    log.record('authz_fail')
    expect(lines.map(([level, , message]) => [level, message])).toEqual([
      ['info', 'authn_login_success'],
      ['error', 'authz_fail'],
    ])
    expect(lines[0]?.[1]).toMatchObject({ security: { event: 'authn_login_success' } })
    await end()
  })

  it('caps its streams', async () => {
    const { log, key, end } = await withLog({ maxEvents: 500 })
    for (let i = 0; i < 2000; i++) log.record('session_created')
    await log.flush()
    expect((await rawStream(server, key)).length).toBeLessThanOrEqual(600)
    await end()
  })

  it('announces every event to listeners, who cannot harm it', async () => {
    const { log, own, end } = await withLog()
    const seen: string[] = []
    own.on('security.event', () => {
      throw new Error('listener')
    })
    own.on('security.event', (event) => seen.push(event.event))
    log.record('sys_startup')
    expect(seen).toEqual(['sys_startup'])
    await end()
  })

  it('records what the rate limiter and the sessions announce', async () => {
    const { own, sink, end } = await withLog({ detectors: false })
    const limit = { limiter: 'api', policy: 'default', retryAfterMs: 10, blocked: false, repeated: 0, shadow: false }
    own.emit('limit.exceeded', { ...limit, address: '192.0.2.9', user: 'u1', method: 'GET', path: '/x' })
    own.emit('session.created', { session: 'hash', userId: 'u1' })
    own.emit('session.destroyed', { session: 'hash', userId: 'u1', reason: 'reuse' })
    own.emit('session.renewed', { session: 'hash2', userId: 'u1' })
    own.emit('session.destroyed', { session: 'hash', userId: 'u1', reason: 'renewed' })
    own.emit('session.rejected', { reason: 'signature', address: '192.0.2.9' })
    expect(sink.events.map(({ event }) => event)).toEqual([
      'excess_rate_limit_exceeded',
      'session_created',
      'authn_token_reuse',
      'session_renewed',
      'holdfast.session_rejected',
    ])
    expect(sink.events[0]).toMatchObject({ ip: '192.0.2.9', userId: 'u1', target: 'api', path: '/x' })
    expect(sink.events[1]).toMatchObject({ session: 'hash' })
    expect(sink.events[4]?.ip).toBe('192.0.2.9')
    await end()
    own.emit('session.created', { session: 'later' })
    expect(sink.events).toHaveLength(5)
  })

  it('is closed twice without harm, and flushes on the first', async () => {
    const { log, key, end } = await withLog({ flushInterval: 60_000 })
    log.record('sys_shutdown')
    await Promise.all([log.close(), log.close()])
    expect(await rawStream(server, key)).toHaveLength(1)
    await end()
  })

  it.each<[string, object]>([
    ['secret', { secret: 'short' }],
    ['events', { events: { nope: 'info' } }],
    ['events', { events: { 'a.b': 'fatal' } }],
    ['maxBuffered', { maxBuffered: 0 }],
    ['retention', { retention: '1' }],
    ['sink', { sink: 'file' }],
    ['redis', { redis: {} }],
    ['colour', { colour: 1 }],
  ])('names the option %s that is wrong, and shows no secret', (option, wrong) => {
    const make = (): unknown => createSecurityLog({ redis, ...wrong } as never)
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_HOLDFAST_CONFIG', option }))
    expect(make).not.toThrow(/short/)
  })
})

describe('securityLog: query', () => {
  it('finds events by user, type, level and time, the latest first', async () => {
    let now = 1_000_000_000_000
    const { log, end } = await withLog({ now: () => now })
    for (let i = 0; i < 30; i++) {
      now += 60_000
      log.record(i % 3 === 0 ? 'authn_login_fail' : 'authn_login_success', { userId: `u${i % 2}`, n: i })
    }
    await log.flush()
    const numbers = async (query: Parameters<typeof log.query>[0]): Promise<unknown[]> =>
      (await log.query(query)).events.map(({ details }) => details?.n)
    expect(await numbers({ type: 'authn_login_fail' })).toEqual([27, 24, 21, 18, 15, 12, 9, 6, 3, 0])
    expect(await numbers({ type: 'authn_login_fail', userId: 'u1' })).toEqual([27, 21, 15, 9, 3])
    expect(await numbers({ level: 'warn', limit: 2 })).toEqual([27, 24])
    const start = 1_000_000_000_000
    expect(await numbers({ from: start + 60_000 * 10, to: new Date(start + 60_000 * 13) })).toEqual([11, 10, 9])
    expect((await log.activity('u0', { limit: 3 })).map(({ details }) => details?.n)).toEqual([28, 26, 24])
    await end()
  })

  it('pages through everything once, over shards and streams, while more is written', async () => {
    const { log, own, end } = await withLog({ shards: 4 })
    const others = Array.from({ length: 6 }, () => createSecurityLog({ redis: own, sink: () => {}, shards: 4 }))
    for (let i = 0; i < 300; i++) others[i % 6]?.record('session_created', { n: i, audit: i % 5 === 0 })
    await Promise.all(others.map((other) => other.flush()))
    const seen: string[] = []
    let cursor: string | undefined
    do {
      const page = await log.query({ limit: 7, cursor })
      seen.push(...page.events.map(({ id }) => id))
      cursor = page.cursor
      others[0]?.record('sys_startup')
      await others[0]?.flush()
    } while (cursor !== undefined)
    expect(new Set(seen).size).toBe(seen.length)
    expect(seen).toHaveLength(300)
    const audit = []
    for await (const event of log.events({ stream: 'audit' })) audit.push(event)
    expect(audit).toHaveLength(60)
    await Promise.all(others.map((other) => other.close()))
    await end()
  })

  it('finds an event by its own time though it was written long after', async () => {
    const { log, end } = await withLog()
    const old = Date.now() - 3 * 3_600_000
    log.record('authz_fail', { at: old })
    await log.flush()
    const { events } = await log.query({ from: old - 1000, to: old + 1000 })
    expect(events).toHaveLength(1)
    await end()
  })

  it('skips what somebody else wrote under its keys, and says so', async () => {
    const { log, own, key, end } = await withLog()
    log.record('sys_startup')
    await log.flush()
    await server.client().xadd(key, '*', 'e', '{broken')
    await server.client().xadd(key, '*', 'e', '{"__proto__":{"v":1}}')
    await server.client().xadd(key, '*', 'other', 'fields')
    const corrupt: unknown[] = []
    own.on('data.corrupt', (event) => corrupt.push(event))
    expect((await log.query()).events).toHaveLength(1)
    expect(corrupt).toHaveLength(3)
    await end()
  })

  it.each<[string, object]>([
    ['limit', { limit: 0 }],
    ['limit', { limit: 1e9 }],
    ['cursor', { cursor: 'x; FLUSHALL' }],
    ['from', { from: new Date(Number.NaN) }],
  ])('refuses a wrong %s', async (option, query) => {
    const { log, end } = await withLog()
    await expect(log.query(query)).rejects.toMatchObject({ code: 'ERR_HOLDFAST_CONFIG', option })
    await end()
  })

  it('fails closed: without Redis there is no half of an audit', async () => {
    const absent = createRedisManager({ env: {}, logger: false })
    const log = createSecurityLog({ redis: absent, sink: () => {} })
    await expect(log.query()).rejects.toMatchObject({ code: 'ERR_HOLDFAST_REDIS_UNAVAILABLE' })
    await expect(log.activity('u1')).rejects.toMatchObject({ code: 'ERR_HOLDFAST_REDIS_UNAVAILABLE' })
    await log.close()
    await absent.close()
  })

  it('is not stopped by a foreign key in the place of a user stream', async () => {
    const { log, own, key, end } = await withLog()
    log.record('sys_startup', { userId: 'u1' })
    await log.flush()
    const [userKey] = (await server.client().keys(`${own.keys.prefix}:security:user:*`)) as string[]
    await server.client().set(userKey as string, 'not a stream')
    log.record('sys_startup', { userId: 'u1' })
    expect(await log.flush()).toBe(true)
    expect(await rawStream(server, key)).toHaveLength(2)
    await end()
  })
})
