import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { createRedisManager, type RedisManager } from '../../src/redis/index.js'
import { cell } from '../../src/security/export.js'
import {
  type Consumer,
  createSecurityLog,
  type SecurityEvent,
  type SecurityLogOptions,
} from '../../src/security/index.js'
import { eventually } from '../support/eventually.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { rawStream } from './support.js'

let server: RedisServer
let count = 0
const cleanUp: (() => unknown)[] = []

beforeAll(async () => {
  server = await startRedis()
})
afterAll(() => server.stop())
afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step()
})

async function start(options: Partial<SecurityLogOptions> = {}, keyPrefix = `store${count++}`) {
  const redis: RedisManager = createRedisManager({ url: server.url, logger: false, keyPrefix, commandTimeout: 2000 })
  await redis.ready()
  const log = createSecurityLog({ redis, sink: () => {}, flushInterval: 1, ...options })
  cleanUp.push(
    () => redis.close(),
    () => log.close(),
  )
  return { redis, log, key: (stream: string) => `${keyPrefix}:security:log:{security-0}:${stream}` }
}

describe('export', () => {
  it('writes NDJSON, an event a line', async () => {
    const { log } = await start()
    for (let n = 0; n < 1200; n++) log.record('sys_startup', { n })
    await log.flush()
    const lines = (await text(Readable.from(log.export()))).trimEnd().split('\n')
    expect(lines.map((line) => JSON.parse(line).details.n)).toEqual(Array.from({ length: 1200 }, (_, n) => 1199 - n))
  })

  it('writes CSV that a spreadsheet does not run', async () => {
    const { log } = await start()
    const evil = ['=cmd|calc', '+1', '-1', '@SUM(A1)', ' =1', '＝1', 'a,"b"', 'fine']
    for (const target of evil) log.record('sensitive_read', { target })
    await log.flush()
    const [header, ...rows] = (await text(Readable.from(log.export({ format: 'csv' })))).trimEnd().split('\r\n')
    const at = header?.split(',').indexOf('target') as number
    expect(header?.split(',').slice(0, 3)).toEqual(['id', 'ts', 'app'])
    expect(rows).toHaveLength(evil.length)
    for (const row of rows) expect(row).not.toMatch(/(^|,)"?\s*[=+\-@＝]/)
    expect(rows[0]?.split(',')[at]).toBe('fine')
    expect(rows[1]).toContain('"a,""b"""')
  })

  it.each([
    ['=1', `"'=1"`],
    ['\t=1', `"'\t=1"`],
    ['-5', `"'-5"`],
    ['plain', 'plain'],
    ['a\nb', '"a\nb"'],
    [undefined, ''],
    [{ a: '"' }, '"{""a"":""\\""""}"'],
  ])('makes a safe cell of %p', (value, expected) => {
    expect(cell(value)).toBe(expected)
  })

  it('reads a large log in bounded memory and stops when its reader does', async () => {
    const { log } = await start({ maxBuffered: 100_000, maxBufferedBytes: 1e8 })
    for (let n = 0; n < 20_000; n++) log.record('sys_startup', { n })
    await log.flush(20_000)
    let seen = 0
    for await (const _ of log.events()) if (++seen === 1500) break
    expect(seen).toBe(1500)
    let all = 0
    for await (const _ of log.events()) all++
    expect(all).toBe(20_000)
  }, 60_000)
})

describe('retention', () => {
  it('removes by age, each kind by its own', async () => {
    const { log, key } = await start({ retention: '1s', auditRetention: '1h' })
    log.record('sys_startup')
    log.record('sys_startup', { audit: true })
    await log.flush()
    await eventually(async () => (await log.trim()) === 1, { within: 5000, every: 100 })
    expect(await rawStream(server, key('security'))).toHaveLength(0)
    expect(await rawStream(server, key('audit'))).toHaveLength(1)
  })

  it('lets the stream of a user expire, and caps it', async () => {
    const { redis, log } = await start({ userRetention: '1h', maxUserEvents: 100 })
    for (let n = 0; n < 500; n++) log.record('sys_startup', { userId: 'u1' })
    await log.flush()
    const [key = ''] = await server.client().keys(`${redis.keys.prefix}:security:user:*`)
    expect(key).not.toContain('u1')
    expect(await server.client().xlen(key)).toBeLessThanOrEqual(200)
    expect(await server.client().pttl(key)).toBeGreaterThan(3_500_000)
  })

  it('erases a user from everything: streams, history, what waits', async () => {
    const { redis, log, key } = await start()
    for (let n = 0; n < 30; n++) {
      log.record('authn_login_success', {
        userId: n % 3 === 0 ? 'alice@example.test' : 'bob',
        ip: '192.0.2.1',
        audit: n % 2 === 0,
      })
    }
    await log.flush()
    log.record('sys_startup', { userId: 'alice@example.test' })
    expect(await log.erase('alice@example.test')).toBe(11)
    await log.flush()
    const all = [...(await rawStream(server, key('security'))), ...(await rawStream(server, key('audit')))]
    expect(JSON.stringify(all)).not.toContain('alice')
    expect(all.filter(({ event }) => event.userId === 'bob')).toHaveLength(20)
    expect(all.at(-1)?.event ?? all[0]?.event).toBeDefined()
    expect(all.some(({ event }) => event.event === 'holdfast.erased')).toBe(true)
    expect(await log.activity('alice@example.test')).toEqual([])
    const keys = await server.client().keys(`${redis.keys.prefix}:*`)
    expect(keys.filter((each) => /alice|bob|192\.0\.2/.test(each))).toEqual([])
  })
})

describe('consume', () => {
  const collectInto = (seen: string[]) => async (events: readonly SecurityEvent[]) => {
    seen.push(...events.map(({ id }) => id))
  }
  const track = (consumer: Consumer): Consumer => {
    cleanUp.push(() => consumer.close())
    return consumer
  }

  it('gives every event to one member of the group, and everything to every group', async () => {
    const { log } = await start()
    const ids = Array.from({ length: 500 }, (_, n) => log.record('sys_startup', { audit: n % 4 === 0 }))
    await log.flush()
    const [one, two, other]: [string[], string[], string[]] = [[], [], []]
    const how = { interval: 20, batch: 20 }
    track(log.consume('siem', collectInto(one), { name: 'a', ...how }))
    track(log.consume('siem', collectInto(two), { name: 'b', ...how }))
    track(log.consume('archive', collectInto(other), { name: 'a', ...how }))
    await eventually(() => one.length + two.length === 500 && other.length === 500, { within: 10_000 })
    ids.push(log.record('sys_shutdown'))
    await eventually(() => one.length + two.length === 501 && other.length === 501, { within: 10_000 })
    expect([...one, ...two].sort()).toEqual([...ids].sort())
    expect(other.sort()).toEqual([...ids].sort())
  })

  it('takes over what a member took and did not finish', async () => {
    const { log } = await start()
    const ids = Array.from({ length: 10 }, () => log.record('sys_startup'))
    await log.flush()
    const dead: string[] = []
    const crashed = log.consume(
      'siem',
      async (events) => {
        dead.push(...events.map(({ id }) => id))
        throw new Error('crashed')
      },
      { name: 'dead', interval: 20, reclaimAfter: '1h' },
    )
    await eventually(() => dead.length === 10)
    await crashed.close()
    const seen: string[] = []
    track(log.consume('siem', collectInto(seen), { name: 'heir', interval: 20, reclaimAfter: 50 }))
    await eventually(() => seen.length === 10, { within: 5000 })
    expect(seen.sort()).toEqual(ids.sort())
  })

  it('goes on after an outage and after a Redis that lost everything', async () => {
    const { redis, log } = await start()
    const seen: string[] = []
    track(log.consume('siem', collectInto(seen), { interval: 20 }))
    const first = log.record('sys_startup')
    await eventually(() => seen.includes(first), { within: 5000 })
    await server.kill()
    await eventually(() => !redis.available)
    const second = log.record('sys_startup')
    await server.restart()
    await eventually(() => seen.includes(second), { within: 10_000 })
    expect(seen.filter((id) => id === second)).toHaveLength(1)
  })

  it('skips corrupt entries and does not stumble over them again', async () => {
    const { log, key } = await start()
    await server.client().xadd(key('security'), '*', 'e', '{broken')
    const id = log.record('sys_startup')
    const seen: string[] = []
    track(log.consume('siem', collectInto(seen), { interval: 20 }))
    await eventually(() => seen.includes(id), { within: 5000 })
    await eventually(async () => ((await server.client().xpending(key('security'), 'siem')) as unknown[])[0] === 0)
  })

  it('closes at once where nothing runs, and refuses wrong options', async () => {
    const { log } = await start()
    expect(() => log.consume('a b', async () => {})).toThrow(/"group"/)
    expect(() => log.consume('a', async () => {}, { batch: 0 })).toThrow(/"batch"/)
    const consumer = log.consume('siem', async () => {}, { interval: '1h' })
    await consumer.close()
  })
})

describe('spill file', () => {
  it('keeps what could not be written any more for the next start, for its user only', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'holdfast-spill-'))
    cleanUp.push(() => rm(dir, { recursive: true, force: true }))
    const spillPath = join(dir, 'events')
    const secret = 'the same in every process'
    const absent = createRedisManager({ env: {}, logger: false })
    const before = createSecurityLog({ redis: absent, sink: () => {}, spillPath, secret })
    const ids = Array.from({ length: 50 }, (_, n) => before.record('sys_startup', { userId: 'u1', n }))
    await before.close()
    await absent.close()
    expect((await stat(spillPath)).mode & 0o777).toBe(0o600)
    await writeFile(spillPath, `${await readFile(spillPath, 'utf8')}{broken\n{"id":1}\n`)
    const { log, key } = await start({ spillPath, secret })
    await eventually(async () => (await rawStream(server, key('security'))).length >= 50, { within: 5000 })
    expect((await rawStream(server, key('security'))).map(({ event }) => event.id)).toEqual(ids)
    expect((await log.activity('u1')).length).toBe(50)
    await log.close()
    await expect(stat(spillPath)).rejects.toThrow()
    expect(await readdir(dir)).toEqual([])
  })

  it('that cannot be written is a warning, not an error', async () => {
    const absent = createRedisManager({ env: {}, logger: false })
    const warnings: string[] = []
    absent.on('warning', ({ code }) => warnings.push(code))
    const log = createSecurityLog({ redis: absent, sink: () => {}, spillPath: '/nonexistent/dir/events' })
    log.record('sys_startup')
    await log.close()
    expect(warnings).toContain('HOLDFAST_SECURITY_SPILL')
    await absent.close()
  })
})
