import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { createRedisManager } from '../../src/redis/index.js'
import { createSecurityLog, type IntegrityOptions, type Seal } from '../../src/security/index.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'

let server: RedisServer
let count = 0
const cleanUp: (() => unknown)[] = []
const KEY = { id: 'k1', key: 'a signing key for tests only, 32 characters' }

beforeAll(async () => {
  server = await startRedis()
})
afterAll(() => server.stop())
afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step()
})

async function start(integrity: Partial<IntegrityOptions> = {}, keyPrefix = `verify${count++}`) {
  const redis = createRedisManager({ url: server.url, logger: false, keyPrefix, commandTimeout: 2000 })
  await redis.ready()
  const log = createSecurityLog({ redis, sink: () => {}, integrity: { keys: [KEY], ...integrity } })
  cleanUp.push(
    () => redis.close(),
    () => log.close(),
  )
  const stream = `${keyPrefix}:security:log:{security-0}:security`
  const record = async (times: number, userId?: string): Promise<void> => {
    for (let n = 0; n < times; n++) log.record('sys_startup', { n, userId, audit: n % 7 === 6 })
    await log.flush()
  }
  const entries = () => server.client().xrange(stream, '-', '+')
  return { log, redis, record, entries, stream }
}

/** Rewrites a stream as an intruder with full access to Redis would. */
async function rewrite(stream: string, change: (entries: [string, string[]][]) => [string, string[]][]): Promise<void> {
  const entries = change(await server.client().xrange(stream, '-', '+'))
  await server.client().del(stream)
  for (const [id, fields] of entries) await server.client().xadd(stream, id, ...fields)
}

describe('verify', () => {
  it('finds nothing where nothing was done, over several processes and streams', async () => {
    const one = await start({}, 'together')
    const two = await start({}, 'together')
    for (let n = 0; n < 5; n++) {
      await one.record(120)
      await two.record(50)
    }
    expect(await one.log.verify()).toEqual({
      ...{ ok: true, checked: 850, altered: [], missing: [], reordered: [], unsigned: [], erased: 0, brokenSeals: [] },
    })
  })

  it('finds what was altered', async () => {
    const { log, record, entries, stream } = await start()
    await record(20)
    const id = (await entries())[8]?.[0] as string
    await rewrite(stream, (all) =>
      all.map(([each, fields]) => [each, each === id ? fields.map((it) => it.replace('"n":9', '"n":1')) : fields]),
    )
    expect(await log.verify()).toMatchObject({ ok: false, altered: [id], missing: [], reordered: [] })
  })

  it('finds an event that was exchanged for another one with a signature of its own', async () => {
    const { log, record, stream } = await start()
    await record(6)
    await rewrite(stream, (all) => all.map(([id], index) => [id, all[index === 3 ? 2 : index]?.[1] as string[]]))
    const report = await log.verify()
    expect(report.ok).toBe(false)
    expect(report.reordered).toHaveLength(1)
    expect(report.missing).toHaveLength(1)
  })

  it('finds what was removed from the middle', async () => {
    const { log, record, entries, stream } = await start()
    await record(30)
    const ids = (await entries()).map(([id]) => id)
    await server.client().xdel(stream, ids[4] as string, ids[5] as string, ids[20] as string)
    const { ok, missing } = await log.verify()
    expect(ok).toBe(false)
    expect(missing.map(({ from, to }) => [from, to])).toEqual([
      [4, 5],
      [20, 20],
    ])
  })

  it('finds what was reordered', async () => {
    const { log, record, stream } = await start()
    await record(6)
    await rewrite(stream, (all) => {
      const fields = all.map(([, each]) => each)
      ;[fields[1], fields[2]] = [fields[2] as string[], fields[1] as string[]]
      return all.map(([id], index) => [id, fields[index] as string[]])
    })
    expect((await log.verify()).reordered).toHaveLength(1)
  })

  it('finds what somebody without the key added', async () => {
    const { log, record, stream } = await start()
    await record(3)
    const json = '{"v":1,"id":"X","ts":"2026-01-01T00:00:00Z","event":"sys_startup","level":"info"}'
    await server.client().xadd(stream, '*', 'id', 'X', 'p', 'me', 's', '0', 'm', '', 'e', json)
    await server.client().xadd(stream, '*', 'id', 'X', 'p', 'me', 's', '1', 'm', 'k1.AAAA', 'e', json)
    await server.client().xadd(stream, '*', 'id', 'X', 'p', 'me', 's', '2', 'm', 'k9.AAAA', 'e', json)
    await server.client().xadd(stream, '*', 'rubbish', 'x')
    const { ok, unsigned, altered } = await log.verify()
    expect([ok, unsigned.length, altered.length]).toEqual([false, 3, 1])
  })

  it('does not take trimming by age for a crime', async () => {
    const { log, record, entries, stream } = await start()
    await record(30)
    const third = (await entries())[10]?.[0] as string
    await server.client().xtrim(stream, 'MINID', third)
    expect((await log.verify()).ok).toBe(true)
  })

  it('tells an erasure from a crime, and a forged note from an erasure', async () => {
    const { log, redis, record, entries, stream } = await start()
    await record(10, 'alice')
    await record(10, 'bob')
    await record(5)
    await log.erase('bob')
    await log.flush()
    expect(await log.verify()).toMatchObject({ ok: true, missing: [] })
    expect((await log.verify()).erased).toBeGreaterThan(0)
    const ids = (await entries()).map(([id]) => id)
    await server.client().xdel(stream, ids[3] as string)
    const erased = redis.keys.key('security', 'log', redis.keys.slot('security-0'), 'erased')
    const [field = ''] = await server.client().hkeys(erased)
    await server.client().hset(erased, field.replace(/\d+$/, '3'), 'k1.forged')
    expect((await log.verify()).missing).toHaveLength(1)
  })

  it('verifies with old keys after a change of keys, and says so when one is gone', async () => {
    const before = await start({}, 'rotate')
    await before.record(5)
    const next = { id: 'k2', key: 'another signing key for tests, 32 characters' }
    const during = await start({ keys: [next, KEY] }, 'rotate')
    await during.record(5)
    expect(await during.log.verify()).toMatchObject({ ok: true, checked: 10 })
    const after = await start({ keys: [next] }, 'rotate')
    expect((await after.log.verify()).unsigned).toHaveLength(5)
  })

  it('misses by its seals what was cut off the end', async () => {
    const seals: Seal[] = []
    const it = await start({ onSeal: (seal) => void seals.push(seal), sealEvery: '1s' })
    await it.record(10)
    await until(() => seals.length >= 2)
    await it.record(10)
    await until(() => seals.length >= 4)
    expect(await it.log.verify({ seals })).toMatchObject({ ok: true })
    const ids = (await it.entries()).map(([id]) => id)
    await server.client().xdel(it.stream, ...ids.slice(-3))
    expect((await it.log.verify()).ok).toBe(true)
    const sealed = await it.log.verify({ seals })
    expect(sealed.ok).toBe(false)
    expect(sealed.missing).toHaveLength(1)
    expect(sealed.missing[0]).toMatchObject({ stream: 'security', to: (sealed.missing[0]?.from ?? 0) + 2 })
  })

  it('believes no forged, missing or exchanged seal', async () => {
    const seals: Seal[] = []
    const it = await start({ onSeal: (seal) => void seals.push(seal), sealEvery: '1s' })
    for (let n = 1; n <= 3; n++) {
      await it.record(4)
      await until(() => seals.length >= n)
    }
    const [first, second, third] = seals as [Seal, Seal, Seal]
    expect((await it.log.verify({ seals: [{ ...first, to: 99 }] })).brokenSeals).toHaveLength(1)
    expect((await it.log.verify({ seals: [first, third] })).brokenSeals).toHaveLength(1)
    expect((await it.log.verify({ seals: [first, second, third] })).ok).toBe(true)
  })
})

async function until(check: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000
  while (!check()) {
    if (performance.now() > deadline) throw new Error('it did not happen')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
