import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals'
import express from 'express'
import { createLocks, type Locks } from '../../src/lock/index.js'
import { isRedisUnavailable, type RedisManager } from '../../src/redis/index.js'
import { describeDegradation } from '../contract/degradation.js'
import { closeAll, ready, SLACK, timed, watched } from '../redis/support.js'
import { eventually } from '../support/eventually.js'
import { fairNow } from '../support/fair-clock.js'
import { freePort } from '../support/free-port.js'
import { startProxy, type TcpProxy } from '../support/proxy.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'

let server: RedisServer
let proxy: TcpProxy
let redis: RedisManager
let locks: Locks
const rejections: unknown[] = []
const note = (reason: unknown): void => void rejections.push(reason)
const unavailable = { code: 'ERR_HOLDFAST_REDIS_UNAVAILABLE' }
const holders = 'holdfast:lock:{job}:holders'
const fence = 'holdfast:lock:{job}:fence'

beforeAll(async () => {
  process.on('unhandledRejection', note)
  server = await startRedis()
  proxy = await startProxy(server.port)
})
beforeEach(async () => {
  ;({ redis } = await ready({ url: proxy.url }))
  locks = createLocks({ redis, wait: '5s' })
  await server.client().flushall()
})
afterEach(async () => {
  server.resume()
  proxy.pass()
  await closeAll()
})
afterAll(async () => {
  await proxy.stop()
  await server.stop()
  process.off('unhandledRejection', note)
  expect(rejections).toEqual([])
})

it('absent at boot: acquiring fails at once, whatever the wait, and works once Redis appears', async () => {
  const port = await freePort()
  const late = watched({ host: '127.0.0.1', port })
  const waiting = createLocks({ redis: late.redis, wait: '1m' })
  await eventually(() => late.redis.state === 'down')
  for (let i = 0; i < 5; i++) {
    expect(await timed(() => waiting.acquire('job'))).toBeLessThan(SLACK)
    await expect(waiting.tryAcquire('job')).rejects.toMatchObject(unavailable)
    await expect(waiting.withLock('job', {}, () => 'ran')).rejects.toMatchObject(unavailable)
  }
  const arrived = await startRedis({ port })
  await late.redis.ready('5s')
  expect((await waiting.acquire('job')).held).toBe(true)
  await late.redis.close()
  await arrived.stop()
})

it('hung while waiting: fails within its deadline, and the lock that the server grants later is given back', async () => {
  server.pause()
  const waits = await Promise.all(
    Array.from({ length: 20 }, () =>
      timed(() => expect(locks.acquire('job', { ttl: '10m' })).rejects.toMatchObject(unavailable)),
    ),
  )
  expect(Math.max(...waits)).toBeLessThan(75 + 2 * SLACK)
  expect(await timed(() => locks.acquire('job'))).toBeLessThan(SLACK)
  server.resume()
  await eventually(() => server.client().exists(fence).then(Boolean))
  await eventually(async () => (await server.client().zcard(holders)) === 0, { within: 10_000 })
  await redis.ready('5s')
  expect((await locks.acquire('job')).held).toBe(true)
})

it('hung while 50 wait in line: all are told soon, none waits for its time to be over', async () => {
  const blocker = createLocks({ redis: (await ready({ url: server.url })).redis })
  await blocker.acquire('job', '1m')
  const waiting = Array.from({ length: 50 }, () =>
    timed(() => expect(locks.acquire('job', { wait: '1m' })).rejects.toMatchObject(unavailable)),
  )
  await sleep(100)
  server.pause()
  expect(Math.max(...(await Promise.all(waiting)))).toBeLessThan(2000)
})

it('a reply that is lost with its connection leaves no lock behind', async () => {
  proxy.latency(30_000)
  const lost = locks.acquire('job', { ttl: '10m' })
  await eventually(() => server.client().exists(holders).then(Boolean))
  proxy.reset()
  await expect(lost).rejects.toMatchObject(unavailable)
  proxy.pass()
  await eventually(async () => (await server.client().exists(holders)) === 0, { within: 10_000 })
  expect(await server.client().exists(fence)).toBe(1)
})

it('slow: a grant that takes longer than the deadline is no grant, and is given back', async () => {
  proxy.latency(200)
  await expect(locks.acquire('job', { ttl: '10m' })).rejects.toMatchObject({ ...unavailable, reason: 'timeout' })
  proxy.pass()
  await eventually(async () => (await server.client().exists(holders)) === 0, { within: 10_000 })
  await eventually(async () => (await locks.acquire('job')).held)
})

it('hung while held: the section is aborted before its time is over, never later', async () => {
  const started = fairNow()
  const run = locks.withLock('job', '500ms', async ({ signal }) => {
    server.pause()
    await new Promise((resolve) => signal.addEventListener('abort', resolve))
    return fairNow() - started
  })
  await expect(run).rejects.toMatchObject({ code: 'ERR_HOLDFAST_LOCK_LOST', reason: 'expired' })
  expect(fairNow() - started).toBeLessThan(1500)
})

it('away for a moment while held: extension is tried again, and the section does not notice', async () => {
  const result = await locks.withLock('job', '3s', async (lock) => {
    proxy.reset()
    await proxy.refuse()
    await sleep(1200)
    await proxy.accept()
    await eventually(() => lock.remainingMs > 2000, { within: 10_000 })
    return lock.held
  })
  expect(result).toBe(true)
})

it('killed while held and back empty: the section is aborted, and the next holder has a greater fence', async () => {
  let before = 0
  const run = locks.withLock('job', '2s', async (lock) => {
    before = lock.fence
    await server.kill()
    await server.restart()
    await new Promise((resolve) => lock.signal.addEventListener('abort', resolve))
  })
  await expect(run).rejects.toMatchObject({ code: 'ERR_HOLDFAST_LOCK_LOST', reason: 'gone' })
  expect((await locks.acquire('job')).fence).toBeGreaterThan(before)
})

it('away at the release: the section has its result, and the lock is released when Redis returns', async () => {
  const result = await locks.withLock('job', '10m', () => {
    server.pause()
    return 'done'
  })
  expect(result).toBe('done')
  server.resume()
  await eventually(async () => (await server.client().exists(holders)) === 0, { within: 10_000 })
})

it('closes within a second while Redis hangs', async () => {
  await locks.acquire('job')
  server.pause()
  expect(await timed(() => locks.close())).toBeLessThan(1000)
})

describeDegradation('a section under a lock', {
  mount: (redis) => {
    const sections = createLocks({ redis })
    let count = 0
    return express().get('/', async (_req, res) => {
      const outcome = await sections
        .withLock(`job ${count++}`, {}, () => 'done')
        .catch((error: unknown) => (isRedisUnavailable(error) ? 'away' : 'broken'))
      res.send(outcome)
    })
  },
  // A grant that took longer than the deadline is given back, and the next request is served.
  whenUp: (get) => eventually(async () => expect((await get()).body).toBe('done')),
  whenAway: ({ body }) => expect(body).toBe('away'),
})
