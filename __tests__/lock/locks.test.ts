import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { createLocks, type Lock, LockLostError, type LockOutcome, type Locks } from '../../src/lock/index.js'
import type { RedisManager } from '../../src/redis/index.js'
import { closeAll, ready } from '../redis/support.js'
import { eventually } from '../support/eventually.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'

let server: RedisServer
let redis: RedisManager
let locks: Locks
let others: Locks

beforeAll(async () => {
  server = await startRedis()
})
beforeEach(async () => {
  ;({ redis } = await ready({ url: server.url, commandTimeout: '2s' }))
  locks = createLocks({ redis, wait: '10s' })
  others = createLocks({ redis: (await ready({ url: server.url, commandTimeout: '2s' })).redis, wait: 0 })
  await server.client().flushall()
})
afterEach(closeAll)
afterAll(() => server.stop())

const keysOf = (key: string): { holders: string; fence: string } => ({
  holders: `holdfast:lock:{${key}}:holders`,
  fence: `holdfast:lock:{${key}}:fence`,
})

/** Nothing of this process runs meanwhile: what a long computation or a SIGSTOP does. */
function standStill(ms: number): void {
  const end = performance.now() + ms
  while (performance.now() < end);
}

describe('an exclusive lock', () => {
  it('has one holder of 100 that ask at the same time', async () => {
    const found = await Promise.all(Array.from({ length: 100 }, () => others.tryAcquire('job')))
    expect(found.filter((lock) => lock !== undefined)).toHaveLength(1)
  })

  it('is free again after its release, which only its holder can do, once', async () => {
    const lock = await locks.acquire('job', '10s')
    expect(await others.tryAcquire('job')).toBeUndefined()
    expect(lock.held).toBe(true)
    expect(await lock.release()).toBe(true)
    expect(lock.held).toBe(false)
    const next = await others.acquire('job')
    expect(await lock.release()).toBe(false)
    expect(await locks.tryAcquire('job')).toBeUndefined()
    expect(next.held).toBe(true)
  })

  it('is free again after its ttl, and its former holder knows', async () => {
    const lock = await locks.acquire('job', '200ms')
    expect(lock.remainingMs).toBeLessThanOrEqual(200)
    const next = await createLocks({ redis }).acquire('job', '10s')
    expect(lock.held).toBe(false)
    expect(lock.remainingMs).toBe(0)
    expect(lock.signal.reason).toMatchObject({ code: 'ERR_HOLDFAST_LOCK_LOST', reason: 'expired' })
    expect(() => lock.assertHeld()).toThrow(LockLostError)
    await expect(lock.extend()).rejects.toMatchObject({ reason: 'expired' })
    expect(await lock.release()).toBe(false)
    expect(next.held).toBe(true)
  })

  it('gives up waiting with a LockTimeoutError, in time', async () => {
    await others.acquire('job')
    const started = performance.now()
    await expect(locks.acquire('job', { wait: '150ms' })).rejects.toMatchObject({ code: 'ERR_HOLDFAST_LOCK_TIMEOUT' })
    expect(performance.now() - started).toBeGreaterThanOrEqual(149)
    expect(performance.now() - started).toBeLessThan(5000)
  })

  it('stops waiting when the signal is aborted, with its reason, and leaves nothing behind', async () => {
    const holder = await others.acquire('job')
    const stop = new AbortController()
    const waiting = locks.acquire('job', { signal: stop.signal })
    stop.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
    await holder.release()
    await eventually(async () => (await server.client().zcard(keysOf('job').holders)) === 0)
    await expect(locks.acquire('job', { signal: stop.signal })).rejects.toThrow('enough')
  })

  it('is extended by its holder, and never shortened', async () => {
    const lock = await locks.acquire('job', '300ms')
    await lock.extend('30s')
    expect(lock.remainingMs).toBeGreaterThan(25_000)
    await lock.extend('1s')
    expect(lock.remainingMs).toBeGreaterThan(25_000)
    expect(await server.client().pttl(keysOf('job').holders)).toBeGreaterThan(25_000)
    await sleep(400)
    expect(await others.tryAcquire('job')).toBeUndefined()
  })

  it('keeps locks of different keys apart, whatever the keys contain', async () => {
    const keys = ['a', 'a:b', '{a}', 'a}', '*', 'a\r\nDEL x', '__proto__', 'ü', 'x'.repeat(5000), '\ud800']
    const held = await Promise.all(keys.map((key) => others.acquire(key)))
    expect(held.every((lock) => lock.held)).toBe(true)
    expect(await Promise.all(keys.map((key) => others.tryAcquire(key)))).toEqual(keys.map(() => undefined))
  })
})

it('takes fractions of a millisecond for what they are worth', async () => {
  const lock = await locks.acquire('job', 1000.7)
  await lock.extend(2000.2)
  expect(await server.client().pttl(keysOf('job').holders)).toBeGreaterThan(0)
  expect(await lock.release()).toBe(true)
})

describe('those who wait in one process', () => {
  it('are served in the order they came', async () => {
    const order: number[] = []
    const first = await locks.acquire('job')
    const waiting = Array.from({ length: 20 }, (_, index) => locks.withLock('job', {}, () => order.push(index)))
    await first.release()
    await Promise.all(waiting)
    expect(order).toEqual(Array.from({ length: 20 }, (_, index) => index))
  })

  it('send one to ask Redis, and are handed on what their process lets go', async () => {
    const blocker = await others.acquire('job', '30s')
    await server.client().config('RESETSTAT')
    const waiting = Array.from({ length: 50 }, () => locks.withLock('job', {}, () => performance.now()))
    await sleep(500)
    const [, asked] = /cmdstat_evalsha:calls=(\d+)/.exec(await server.client().info('commandstats')) ?? []
    expect(Number(asked)).toBeLessThan(20)
    await blocker.release()
    const times = await Promise.all(waiting)
    const between = times.slice(1).map((time, index) => time - (times[index] as number))
    // The median poll of a waiter that has to ask again and again comes 75 ms later.
    expect(between.sort((a, b) => a - b)[25]).toBeLessThan(50)
  })

  it('fill a semaphore together, and make room for each other when one gives up', async () => {
    const held = await Promise.all(Array.from({ length: 3 }, () => locks.acquire('slots', { holders: 3 })))
    const stop = new AbortController()
    const gone = expect(locks.acquire('slots', { holders: 3, signal: stop.signal })).rejects.toThrow('enough')
    const brief = expect(locks.acquire('slots', { holders: 3, wait: '30ms' })).rejects.toMatchObject({
      code: 'ERR_HOLDFAST_LOCK_TIMEOUT',
    })
    const next = [1, 2].map(() => locks.acquire('slots', { holders: 3 }))
    await brief
    stop.abort(new Error('enough'))
    await gone
    await Promise.all(held.map((lock) => lock.release()))
    for (const lock of await Promise.all(next)) expect(lock.held).toBe(true)
  })
})

describe('the fence', () => {
  it('grows with every acquisition, and its key never expires', async () => {
    const fences: number[] = []
    for (let i = 0; i < 20; i++) {
      const lock = await locks.acquire('job')
      fences.push(lock.fence)
      await lock.release()
    }
    expect(fences).toEqual([...new Set(fences)].sort((a, b) => a - b))
    expect(fences.every(Number.isSafeInteger)).toBe(true)
    expect(await server.client().ttl(keysOf('job').fence)).toBe(-1)
  })

  it('grows over a loss of all data, where a counter would start again', async () => {
    const { fence } = await locks.acquire('job')
    await server.client().flushall()
    expect((await others.acquire('job')).fence).toBeGreaterThan(fence)
  })

  it('grows while the clock of Redis is behind the last fence', async () => {
    const ahead = Date.now() * 1000 + 3_600_000_000
    await server.client().set(keysOf('job').fence, ahead)
    expect((await locks.acquire('job')).fence).toBe(ahead + 1)
  })

  it.each(['not a number', '9007199254740991', '1e300'])(
    'is refused, not guessed, where its key holds %s',
    async (text) => {
      await server.client().set(keysOf('job').fence, text)
      await expect(locks.acquire('job')).rejects.toMatchObject({ code: 'ERR_HOLDFAST_REDIS_COMMAND', kind: 'BADFENCE' })
      expect(await server.client().exists(keysOf('job').holders)).toBe(0)
    },
  )
})

describe('a semaphore', () => {
  it('has exactly as many holders as it allows', async () => {
    const found = await Promise.all(Array.from({ length: 100 }, () => others.tryAcquire('slots', { holders: 10 })))
    const held = found.filter((lock) => lock !== undefined)
    expect(held).toHaveLength(10)
    expect(new Set(held.map((lock) => lock.fence)).size).toBe(10)
    await held[3]?.release()
    expect(await others.tryAcquire('slots', { holders: 10 })).toBeDefined()
    expect(await others.tryAcquire('slots', { holders: 10 })).toBeUndefined()
  })

  it('replaces the holder that expires, not the others', async () => {
    const long = await locks.acquire('slots', { holders: 2, ttl: '30s' })
    await locks.acquire('slots', { holders: 2, ttl: '100ms' })
    const next = await locks.acquire('slots', { holders: 2, ttl: '30s' })
    expect([long.held, next.held]).toEqual([true, true])
    await long.extend()
    expect(await others.tryAcquire('slots', { holders: 2 })).toBeUndefined()
  })
})

describe('withLock', () => {
  it('runs sections one after the other and hands on what they return', async () => {
    let inside = 0
    let most = 0
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        (index % 2 ? locks : createLocks({ redis, wait: '10s' })).withLock('job', '10s', async () => {
          most = Math.max(most, ++inside)
          await sleep(2)
          inside--
          return index
        }),
      ),
    )
    expect(results).toEqual(Array.from({ length: 20 }, (_, index) => index))
    expect(most).toBe(1)
  })

  it('releases the lock where the section throws, also where it throws at once', async () => {
    const fail = (): never => {
      throw new Error('no')
    }
    await expect(locks.withLock('job', {}, fail)).rejects.toThrow('no')
    await expect(locks.withLock('job', {}, async () => fail())).rejects.toThrow('no')
    expect(await others.tryAcquire('job')).toBeDefined()
  })

  it('extends the lock for as long as the section runs', async () => {
    await locks.withLock('job', '200ms', async (lock) => {
      for (let i = 0; i < 8; i++) {
        await sleep(100)
        expect(lock.held).toBe(true)
        expect(await others.tryAcquire('job')).toBeUndefined()
      }
    })
    expect(await others.tryAcquire('job')).toBeDefined()
  })

  it('extends up to the longest hold and no further', async () => {
    const started = performance.now()
    const run = locks.withLock('job', { ttl: '200ms', maxHold: '600ms' }, async ({ signal }) => {
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
    })
    await expect(run).rejects.toMatchObject({ code: 'ERR_HOLDFAST_LOCK_LOST', reason: 'max-hold' })
    expect(performance.now() - started).toBeGreaterThan(400)
    expect(performance.now() - started).toBeLessThan(5000)
    expect(await others.tryAcquire('job')).toBeDefined()
  })

  it('aborts the section whose lock was taken from Redis, at the next extension', async () => {
    const run = locks.withLock('job', '300ms', async ({ signal }) => {
      await server.client().flushall()
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
      throw signal.reason
    })
    await expect(run).rejects.toMatchObject({ reason: 'gone' })
  })

  it('rejects where the section ends after its lock was taken, although nobody had noticed', async () => {
    await expect(locks.withLock('job', '10s', () => server.client().flushall())).rejects.toMatchObject({
      reason: 'gone',
    })
  })

  it('knows after a standstill that the lock is lost, before any timer has run', async () => {
    let seen: Lock | undefined
    const run = locks.withLock('job', '100ms', (lock) => {
      standStill(150)
      expect(lock.held).toBe(false)
      expect(lock.signal.aborted).toBe(true)
      seen = lock
    })
    await expect(run).rejects.toMatchObject({ reason: 'expired' })
    expect(() => seen?.assertHeld()).toThrow(LockLostError)
  })

  it('does not believe a grant whose reply arrives after its time', async () => {
    const claims = ['job', 'other'].map((key) => others.tryAcquire(key, '60ms'))
    standStill(100)
    expect(await Promise.all(claims)).toEqual([undefined, undefined])
    await eventually(async () => (await server.client().zcard(keysOf('job').holders)) === 0)
  })

  it('passes an abort of the caller on to the section and lets it finish', async () => {
    const stop = new AbortController()
    const run = locks.withLock('job', { signal: stop.signal }, async ({ signal }) => {
      stop.abort(new Error('enough'))
      return signal.reason.message
    })
    expect(await run).toBe('enough')
    expect(await others.tryAcquire('job')).toBeDefined()
  })

  it('allows the section to release early', async () => {
    expect(
      await locks.withLock('job', {}, async (lock) => {
        await lock.release()
        return (await others.tryAcquire('job')) !== undefined
      }),
    ).toBe(true)
  })
})

it('tells what happened to each lock as events', async () => {
  const seen: LockOutcome[] = []
  redis.on('lock', (outcome) => seen.push(outcome))
  const lock = await locks.acquire('job', '100ms')
  await locks.tryAcquire('job')
  await eventually(() => lock.signal.aborted)
  await locks.withLock('job', '10s', async (held) => {
    await held.extend('20s')
  })
  await server.client().set(keysOf('foreign').holders, 'mine')
  await expect(locks.tryAcquire('foreign')).rejects.toMatchObject({ code: 'ERR_HOLDFAST_REDIS_COMMAND' })
  expect(seen.map(({ outcome }) => outcome)).toEqual([
    'acquired',
    'timeout',
    'lost',
    'acquired',
    'extended',
    'released',
    'failed',
  ])
  expect(seen[2]).toMatchObject({ key: 'job', fence: lock.fence, reason: 'expired' })
  expect(seen[4]).toMatchObject({ key: 'job', ttl: 20_000 })
  expect(seen[6]).toMatchObject({ key: 'foreign' })
})

it('lets go of everything when closed: waiting ends, locks are released, signals are aborted', async () => {
  const lock = await locks.acquire('job', '30s')
  const blocker = await others.acquire('busy', '30s')
  const waiting = Promise.all(
    Array.from({ length: 50 }, () => expect(locks.acquire('busy')).rejects.toMatchObject({ reason: 'closed' })),
  )
  await sleep(20)
  await locks.close()
  await locks.close()
  await waiting
  expect(lock.signal.reason).toMatchObject({ reason: 'closed' })
  expect(await others.tryAcquire('job')).toBeDefined()
  expect(blocker.held).toBe(true)
  await expect(locks.acquire('other')).rejects.toMatchObject({
    code: 'ERR_HOLDFAST_REDIS_UNAVAILABLE',
    reason: 'closed',
  })
})

describe('bad input', () => {
  it.each([
    ['an empty key', ''],
    ['no key', undefined],
    ['an object as key', { length: 1 }],
  ])('%s is refused', async (_, key) => {
    await expect(locks.acquire(key as string)).rejects.toMatchObject({ code: 'ERR_HOLDFAST_LOCK_VALUE' })
  })

  it.each<object>([
    { ttl: 10 },
    { ttl: Number.NaN },
    { ttl: '1 year' },
    { wait: -1 },
    { holders: 0 },
    { holders: 1.5 },
    { signal: {} },
    { tll: '1s' },
    { __proto__: null, constructor: 1 },
  ])('%j is refused', async (options) => {
    await expect(locks.acquire('job', options as never)).rejects.toMatchObject({ code: 'ERR_HOLDFAST_LOCK_VALUE' })
  })

  it('a ttl of an extension is checked too, and the lock stays', async () => {
    const lock = await locks.acquire('job')
    await expect(lock.extend(1)).rejects.toMatchObject({ code: 'ERR_HOLDFAST_LOCK_VALUE' })
    expect(lock.held).toBe(true)
  })

  it('foreign data under the key of a lock is an error, and stays as it is', async () => {
    await server.client().set(keysOf('job').holders, 'mine')
    await expect(locks.acquire('job')).rejects.toMatchObject({ code: 'ERR_HOLDFAST_REDIS_COMMAND', kind: 'WRONGTYPE' })
    expect(await server.client().get(keysOf('job').holders)).toBe('mine')
  })

  it.each([{}, { redis: {} }, { redis: null, ttl: 1 }])('options %j are a ConfigurationError', (options) => {
    expect(() => createLocks(options as never)).toThrow(expect.objectContaining({ code: 'ERR_HOLDFAST_CONFIG' }))
  })
})
