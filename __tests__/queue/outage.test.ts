import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, it } from '@jest/globals'
import express from 'express'
import { isRedisUnavailable } from '../../src/index.js'
import { createQueue } from '../../src/queue/index.js'
import { describeDegradation } from '../contract/degradation.js'
import { eventually } from '../support/eventually.js'
import { fairNow } from '../support/fair-clock.js'
import { freePort } from '../support/free-port.js'
import { startProxy } from '../support/proxy.js'
import { startRedis } from '../support/redis-server.js'
import { afterwards, aServer, cleanAll, join } from './support.js'

afterEach(cleanAll)

const FULL = process.env.HOLDFAST_TEST_FULL === '1'
const PERSISTENT = ['--appendonly', 'yes', '--appendfsync', 'always']
const IN_A_HURRY = { commandTimeout: 75 }
const soon = { within: 10_000 }
const unavailable = { code: 'ERR_HOLDFAST_REDIS_UNAVAILABLE' }

async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = fairNow()
  await work().catch(() => {})
  return fairNow() - started
}

describe('a worker when Redis is', () => {
  it.each([
    ['idle', false],
    ['busy', true],
  ])(
    'killed while it is %s, and restarted: it takes up its work again, and no job is lost',
    async (_, busy) => {
      const server = await aServer(PERSISTENT)
      const { queue, redis } = await join<number>(server.url)
      const done = new Set<number>()
      const worker = queue.process(
        async ({ data }) => {
          if (busy) await sleep(50)
          done.add(data)
        },
        { concurrency: 2, lock: '1s' },
      )
      await worker.ready()
      await queue.add(0)
      await eventually(() => done.has(0), soon)
      if (busy) for (let n = 1; n <= 20; n++) await queue.add(n)
      await server.kill()
      await eventually(() => !redis.available)
      await sleep(1500)
      await server.restart()
      await eventually(() => redis.available, soon)
      await eventually(() => queue.add(100, { id: 'after' }), soon)
      await eventually(() => done.has(100), soon)
      await eventually(() => done.size === (busy ? 22 : 2), { within: 20_000 })
    },
    60_000,
  )

  // Longer than the socket watchdog of the worker's connections (15 s), under HOLDFAST_TEST_FULL.
  it.each(FULL ? [3000, 18_000] : [3000])(
    'hung for %d ms: it takes up its work again',
    async (ms) => {
      const server = await aServer()
      const { queue, redis } = await join<number>(server.url)
      const done = new Set<number>()
      const worker = queue.process(({ data }) => void done.add(data), { lock: '1s' })
      await worker.ready()
      await queue.add(0)
      await eventually(() => done.has(0), soon)
      server.pause()
      await sleep(ms)
      server.resume()
      await eventually(() => redis.available, soon)
      await eventually(() => queue.add(1, { id: 'after' }), soon)
      await eventually(() => done.has(1), { within: 15_000 })
    },
    60_000,
  )

  it('away when a job ends: its result is stored when Redis returns, and it is not done again', async () => {
    const server = await aServer(PERSISTENT)
    const { queue, redis } = await join(server.url)
    let runs = 0
    let finish: () => void = () => {}
    queue.process(async () => {
      runs++
      await new Promise<void>((resolve) => {
        finish = resolve
      })
      return 'done'
    })
    const { id } = await queue.add({ to: 'ada' })
    await eventually(() => runs === 1, soon)
    await server.kill()
    await eventually(() => !redis.available)
    finish()
    await sleep(200)
    await server.restart()
    await eventually(() => redis.available, soon)
    await eventually(async () => (await queue.job(id))?.result === 'done', soon)
    expect(runs).toBe(1)
  })

  it('absent at boot: it waits, and works once Redis appears', async () => {
    const port = await freePort()
    const { queue, redis } = await join<number>({ port })
    const done: number[] = []
    const worker = queue.process(({ data }) => void done.push(data))
    expect(await worker.ready(100)).toBe(false)
    const server = await startRedis({ port })
    afterwards(() => server.stop())
    expect(await worker.ready('10s')).toBe(true)
    await eventually(() => redis.available, soon)
    await queue.add(1)
    await eventually(() => done.length === 1, soon)
  })

  it('restarted empty: it goes on with what is added then', async () => {
    const server = await aServer()
    const { queue, redis } = await join<number>(server.url)
    const done: number[] = []
    await queue.process(({ data }) => void done.push(data)).ready()
    await server.restart()
    await eventually(() => redis.available, soon)
    await eventually(() => queue.add(1, { id: 'one' }), soon)
    await eventually(() => done.length === 1, soon)
  })

  it('hung, and being stopped: it stops in time', async () => {
    const server = await aServer()
    const { queue, redis } = await join(server.url)
    await queue.process(() => {}).ready()
    server.pause()
    expect(await timed(() => queue.close(100))).toBeLessThan(2500)
    expect(await timed(() => redis.close())).toBeLessThan(1000)
    server.resume()
  })
})

describe('adding when Redis is', () => {
  it('down: rejects at once, and opens no connection', async () => {
    const { queue } = await join({ port: await freePort(), ...IN_A_HURRY })
    await expect(queue.add({ to: 'ada' })).rejects.toMatchObject(unavailable)
    expect(await timed(() => queue.add({ to: 'ada' }))).toBeLessThan(1000)
    await expect(queue.dlq.list()).rejects.toMatchObject(unavailable)
    await expect(queue.counts()).rejects.toMatchObject(unavailable)
  })

  it('hung: rejects in time, says that the outcome is unknown, and adding again with the same id adds it once', async () => {
    const server = await aServer()
    const { queue, redis } = await join({ url: server.url, ...IN_A_HURRY })
    await queue.add({ to: 'bob' })
    server.pause()
    const started = fairNow()
    await expect(queue.add({ to: 'ada' }, { id: 'm1' })).rejects.toMatchObject({ ...unavailable, reason: 'timeout' })
    expect(fairNow() - started).toBeLessThan(75 + 1000)
    server.resume()
    await eventually(() => redis.available, soon)
    await eventually(() => queue.add({ to: 'ada' }, { id: 'm1' }), soon)
    expect((await queue.counts()).waiting).toBe(2)
  })

  it('slow: rejects in time', async () => {
    const server = await aServer()
    const proxy = await startProxy(server.port)
    afterwards(() => proxy.stop())
    const { queue } = await join({ url: proxy.url, ...IN_A_HURRY })
    await queue.add({ to: 'bob' })
    proxy.latency(400)
    const started = fairNow()
    await expect(queue.add({ to: 'ada' })).rejects.toMatchObject(unavailable)
    expect(fairNow() - started).toBeLessThan(75 + 1000)
  })

  it('down, with an outbox: keeps up to its size, and adds each job once when Redis returns', async () => {
    const server = await aServer(PERSISTENT)
    const { queue, redis } = await join<number>(server.url, { outbox: 50 })
    await queue.add(0)
    await server.kill()
    await eventually(() => !redis.available)
    const results = await Promise.all(Array.from({ length: 50 }, (_, n) => queue.add(n + 1, { delay: 500 })))
    expect(new Set(results.map(({ outcome }) => outcome))).toEqual(new Set(['buffered']))
    expect(queue.buffered).toBe(50)
    await expect(queue.add(51)).rejects.toMatchObject(unavailable)
    await sleep(600)
    await server.restart()
    await eventually(() => queue.buffered === 0, soon)
    // The delay ran while they waited here.
    expect(await queue.counts()).toMatchObject({ waiting: 51, delayed: 0 })
    const done: number[] = []
    queue.process(({ data }) => void done.push(data), { concurrency: 10 })
    await eventually(() => done.length === 51, soon)
    expect(done.sort((a, b) => a - b)).toEqual(Array.from({ length: 51 }, (_, n) => n))
  })

  it('down, with an outbox: adds what the data was when it was given, whatever becomes of the object', async () => {
    const server = await aServer(PERSISTENT)
    const { queue, redis } = await join<{ to: string }>(server.url, { outbox: 1 })
    await server.kill()
    await eventually(() => !redis.available)
    const data = { to: 'ada' }
    const { id } = await queue.add(data)
    data.to = 'eve'
    await server.restart()
    await eventually(() => queue.buffered === 0, soon)
    expect((await queue.job(id))?.data).toEqual({ to: 'ada' })
  })

  it('down until the queue closes: says how many jobs of the outbox are lost', async () => {
    const { queue, redis, lines } = await join<number>({ port: await freePort() }, { outbox: 10 })
    const lost: unknown[] = []
    redis.on('queue.lost', (event) => void lost.push(event))
    for (const n of [1, 2, 3]) await queue.add(n)
    await queue.close()
    expect(lost).toEqual([{ queue: 'mails', jobs: 3 }])
    expect(lines.some((line) => line.includes('HOLDFAST_QUEUE_LOST'))).toBe(true)
    await expect(queue.add(4)).rejects.toMatchObject({ ...unavailable, reason: 'closed' })
    expect(() => queue.process(() => {})).toThrow('is closed')
  })
})

describeDegradation('a queue', {
  mount: (redis) => {
    const queue = createQueue<number>('mails', { redis })
    return express().get('/', async (_req, res) => {
      const outcome = await queue.add(1).then(
        () => 'added',
        (error: unknown) => (isRedisUnavailable(error) ? 'away' : 'broken'),
      )
      res.send(outcome)
    })
  },
  whenUp: async (get) => expect((await get()).body).toBe('added'),
  whenAway: ({ body }) => expect(body).toBe('away'),
})
