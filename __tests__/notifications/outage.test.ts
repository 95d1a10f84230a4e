import { afterEach, describe, expect, it } from '@jest/globals'
import express from 'express'
import { createNotifier, type Notifier, type NotifyResult } from '../../src/notifications/index.js'
import { describeDegradation } from '../contract/degradation.js'
import { eventually } from '../support/eventually.js'
import { fairNow } from '../support/fair-clock.js'
import { freePort } from '../support/free-port.js'
import { startProxy } from '../support/proxy.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { afterwards, type Client, cleanAll, connect, live, serve } from './support.js'

afterEach(cleanAll)

const PERSISTENT = ['--appendonly', 'yes', '--appendfsync', 'always']

async function aServer(args: readonly string[] = []): Promise<RedisServer> {
  const server = await startRedis({ args })
  afterwards(() => server.stop())
  return server
}

const states = (client: Client): unknown[] => client.of('status').map(({ data }) => data.state)

async function until(client: Client, state: string): Promise<void> {
  await eventually(() => states(client).at(-1) === state, { within: 10_000 })
}

/** As an application that must not lose one: again with the same key until it is stored. */
async function insist(notifier: Notifier, data: number): Promise<NotifyResult> {
  return eventually(
    async () => {
      const result = await notifier.notify('ada', { data, key: `n${data}` })
      return 'id' in result ? result : Promise.reject(new Error(result.outcome))
    },
    { within: 10_000, every: 30 },
  )
}

describe('a stream when Redis is', () => {
  it('restarted with its data: it stays open, says degraded, then live, and misses nothing', async () => {
    const server = await aServer(PERSISTENT)
    const one = await serve(server.url)
    const other = await serve(server.url)
    const client = await live(one.url)
    for (const n of [1, 2]) await insist(other.notifier, n)
    await server.kill()
    await until(client, 'degraded')
    const told = [3, 4, 5].reduce(
      (before, n) => before.then(() => insist(other.notifier, n)),
      Promise.resolve<unknown>(0),
    )
    await server.restart()
    await told
    await until(client, 'live')
    await client.until('message', 5)
    await insist(other.notifier, 6)
    await client.until('message', 6)
    expect(client.data()).toEqual([1, 2, 3, 4, 5, 6])
    expect(client.of('gap')).toEqual([])
    expect(states(client)).toEqual(['live', 'degraded', 'live'])
    expect(client.closed).toBe(false)
  })

  it('restarted empty: it stays open and tells of the gap', async () => {
    const server = await aServer()
    const { url, notifier } = await serve(server.url)
    const client = await live(url)
    await insist(notifier, 1)
    await client.until('message')
    await server.restart()
    await client.until('gap')
    await insist(notifier, 2)
    await client.until('message', 2)
    expect(client.data()).toEqual([1, 2])
    expect(client.of('gap')).toHaveLength(1)
  })

  it('absent: it opens, says degraded, and is live with its history once Redis appears', async () => {
    const port = await freePort()
    const { url, notifier, redis } = await serve({ port })
    await eventually(() => redis.state === 'down')
    const client = await connect(url)
    await until(client, 'degraded')
    expect(client.response.statusCode).toBe(200)
    expect(await notifier.notify('ada', { data: 1 })).toEqual({ outcome: 'dropped', reason: 'down' })
    expect(await notifier.history('ada')).toEqual({ notifications: [], unread: 0, degraded: true })
    expect([await notifier.unread('ada'), await notifier.markRead('ada'), await notifier.isOnline('ada')]).toEqual([
      undefined,
      undefined,
      undefined,
    ])
    const server = await startRedis({ port })
    afterwards(() => server.stop())
    await insist(notifier, 2)
    await until(client, 'live')
    await client.until('message')
    expect(client.data()).toEqual([2])
  })

  it('hung: telling answers in time, the stream says degraded, and what was uncertain is stored once', async () => {
    const server = await aServer()
    const { url, notifier, redis } = await serve({ url: server.url, commandTimeout: 75 })
    const client = await live(url)
    server.pause()
    const started = fairNow()
    const uncertain = await notifier.notify('ada', { data: 1, key: 'n1' })
    expect(uncertain).toEqual({ outcome: 'unknown', reason: 'timeout' })
    expect(fairNow() - started).toBeLessThan(75 + 1000)
    await until(client, 'degraded')
    server.resume()
    await eventually(() => redis.available, { within: 10_000 })
    await insist(notifier, 1)
    await insist(notifier, 2)
    await client.until('message', 2)
    await until(client, 'live')
    expect(client.data()).toEqual([1, 2])
  })

  it('slow: telling answers in time', async () => {
    const server = await aServer()
    const proxy = await startProxy(server.port)
    afterwards(() => proxy.stop())
    const { notifier } = await serve({ url: proxy.url, commandTimeout: 75 })
    proxy.latency(200)
    const started = fairNow()
    expect(await notifier.notify('ada', { data: 1 })).toMatchObject({ outcome: 'unknown' })
    expect(fairNow() - started).toBeLessThan(75 + 1000)
  })

  it('down: with localWhenDown the clients of this process are shown it, without an id', async () => {
    const server = await aServer()
    const { url, notifier, redis } = await serve(server.url, { localWhenDown: true })
    const client = await live(url, { topics: 'news' })
    const { lastEventId } = client
    await server.kill()
    await eventually(() => !redis.available)
    expect(await notifier.notify('ada', { type: 'order', data: 7 })).toMatchObject({ outcome: 'local' })
    expect(await notifier.broadcast('news', { data: 'n' })).toMatchObject({ outcome: 'local' })
    expect(await notifier.notify('nobody', { data: 7 })).toMatchObject({ outcome: 'dropped' })
    expect((await client.until('order')).data).toEqual({ type: 'order', at: expect.any(Number), data: 7 })
    expect((await client.until('message')).data).toMatchObject({ topic: 'news', data: 'n' })
    expect(client.lastEventId).toBe(lastEventId)
  })

  it('losing only announcements: they are read within moments after the subscription is back', async () => {
    const server = await aServer()
    const { url, notifier } = await serve(server.url)
    const client = await live(url)
    await server.client().call('CLIENT', 'KILL', 'TYPE', 'pubsub')
    for (const n of [1, 2, 3]) await notifier.notify('ada', { data: n })
    await client.until('message', 3)
    expect(client.data()).toEqual([1, 2, 3])
  })

  it('refusing to subscribe: the stream says degraded and is fed by reading once a second', async () => {
    const server = await aServer()
    await server.client().call('ACL', 'SETUSER', 'mute', 'on', '>pw', '~*', '&*', '+@all', '-subscribe')
    const mute = await serve(server.url.replace('//', '//mute:pw@'))
    const { notifier } = await serve(server.url)
    const client = await connect(mute.url)
    await until(client, 'degraded')
    await notifier.notify('ada', { data: 1 })
    await client.until('message')
  })
})

describeDegradation('notifications', {
  mount: (redis) => {
    const notifier = createNotifier({ redis })
    return express().get('/', async (_req, res) => {
      const { outcome } = await notifier.notify('ada', { data: 1 })
      const { degraded } = await notifier.history('ada')
      res.json({ outcome, degraded })
    })
  },
  whenUp: async (get) => {
    expect(JSON.parse((await get()).body)).toEqual({ outcome: 'stored', degraded: false })
  },
  whenAway: ({ body }) => expect(JSON.parse(body)).toEqual({ outcome: 'dropped', degraded: true }),
})
