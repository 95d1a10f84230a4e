import { request as httpRequest } from 'node:http'
import { connect as connectHttp2, createServer as createHttp2 } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import compression from 'compression'
import express from 'express'
import express4 from 'express4'
import { createNotifier } from '../../src/notifications/index.js'
import { createRedisManager } from '../../src/redis/index.js'
import { startCluster } from '../support/cluster.js'
import { eventually } from '../support/eventually.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { afterwards, cleanAll, connect, createParser, listen, live, type Received, serve } from './support.js'

let server: RedisServer
beforeAll(async () => {
  server = await startRedis()
})
beforeEach(() => server.client().flushall())
afterEach(cleanAll)
afterAll(() => server.stop())

const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, index) => from + index)

describe('a stream', () => {
  it('shows a notification from any process at once, with its id, type and time', async () => {
    const one = await serve(server.url)
    const other = await serve(server.url)
    const client = await live(one.url)
    const stranger = await live(one.url, { user: 'eve' })
    const result = await other.notifier.notify('ada', { type: 'order', data: { text: 'zwei\nZeilen', id: 17 } })
    expect(result).toEqual({ outcome: 'stored', id: expect.stringMatching(/^\d+-\d+$/) })
    const { id, data } = await client.until('order')
    expect(id).toBe((result as { id: string }).id)
    expect(data).toEqual({ id, type: 'order', at: Number(id?.split('-')[0]), data: { text: 'zwei\nZeilen', id: 17 } })
    expect(stranger.data()).toEqual([])
  })

  it('begins with what no proxy or compression may hold back', async () => {
    const { url } = await serve(server.url)
    const { response } = await live(url)
    expect(response.statusCode).toBe(200)
    expect(response.headers).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
    })
  })

  it('gives a new client the most recent notifications, oldest first, then says that it is live', async () => {
    const { url, notifier } = await serve(server.url, {}, { recent: 3 })
    for (const n of range(1, 5)) await notifier.notify('ada', { data: n })
    const client = await live(url)
    expect(client.data()).toEqual([3, 4, 5])
    expect(client.events.at(-1)).toMatchObject({ event: 'status', data: { state: 'live', unread: 5 } })
    await notifier.notify('ada', { data: 6 })
    await client.until('message', 4)
    expect(client.data()).toEqual([3, 4, 5, 6])
  })

  it('replays what came in between to a client that returns to another process, in order and once', async () => {
    const one = await serve(server.url)
    const client = await live(one.url)
    for (const n of range(1, 3)) await one.notifier.notify('ada', { data: n })
    await client.until('message', 3)
    client.close()
    for (const n of range(4, 80)) await one.notifier.notify('ada', { data: n })
    const two = await serve(server.url)
    const back = await live(two.url, { lastEventId: client.lastEventId })
    await back.until('message', 77)
    expect(back.data()).toEqual(range(4, 80))
    expect(back.of('gap')).toEqual([])
  })

  it('remembers its place also where it was shown nothing yet', async () => {
    const { url, notifier } = await serve(server.url, {}, { recent: 2 })
    const client = await live(url)
    client.close()
    for (const n of range(1, 9)) await notifier.notify('ada', { data: n })
    const back = await live(url, { lastEventId: client.lastEventId })
    expect(back.data()).toEqual(range(1, 9))
  })

  it('tells of a gap, once, where the history was trimmed in between, and goes on with what is left', async () => {
    const { url, notifier, redis } = await serve(server.url, { history: 5 })
    const seen: unknown[] = []
    redis.on('notifications.stream', (event) => void seen.push(event.type))
    const client = await live(url)
    await notifier.notify('ada', { data: 1 })
    await client.until('message')
    client.close()
    for (const n of range(2, 9)) await notifier.notify('ada', { data: n })
    const back = await live(url, { lastEventId: client.lastEventId })
    expect(back.events.map(({ event }) => event)).toEqual(['gap', ...Array(5).fill('message'), 'status'])
    expect(back.data()).toEqual(range(5, 9))
    back.close()
    const again = await live(url, { lastEventId: back.lastEventId })
    expect(again.events.map(({ event }) => event)).toEqual(['status'])
    await eventually(() => seen.includes('closed'))
    expect(seen.filter((type) => type === 'gap')).toHaveLength(1)
  })

  it('tells of a gap where Redis has forgotten everything, and of none where entries only expired', async () => {
    const { url, notifier, redis } = await serve(server.url)
    await notifier.notify('ada', { data: 1 })
    const client = await live(url)
    const key = redis.keys.key('notifications', 'user', redis.keys.slot('ada'), 'log')
    expect(await server.client().del(key)).toBe(1)
    const quiet = await live(url, { lastEventId: client.lastEventId })
    await notifier.notify('ada', { data: 2 })
    await Promise.all([client.until('message', 2), quiet.until('message')])
    expect([...client.of('gap'), ...quiet.of('gap')]).toEqual([])
    await server.client().flushall()
    const lost = await live(url, { lastEventId: client.lastEventId })
    expect(lost.events.map(({ event }) => event)).toEqual(['gap', 'status'])
    const after = await live(url, { lastEventId: lost.lastEventId })
    expect(after.of('gap')).toEqual([])
  })

  it('keeps the time to live it was given', async () => {
    const { notifier, redis } = await serve(server.url, { ttl: '1h' })
    await notifier.notify('ada', { data: 1, key: 'k' })
    const keys = (await server.client().keys(`${redis.keys.key('notifications')}*`)).sort()
    expect(keys).toHaveLength(3)
    for (const key of keys) expect(await server.client().pttl(key)).toBeGreaterThan(3_500_000)
  })

  it.each(['x', '1', '-1-0', '1-0,', '1-0,zz=1-0', '99999999999999999999-0', `1-0\u00e9`, '9'.repeat(5000), '0-0\t1'])(
    'treats the Last-Event-ID %j as none',
    async (lastEventId) => {
      const { url, notifier } = await serve(server.url)
      await notifier.notify('ada', { data: 1 })
      const client = await live(url, { lastEventId })
      expect([client.data(), client.of('gap').length]).toEqual([[1], 0])
    },
  )

  it('treats a Last-Event-ID from the future as lost: a gap, then what there is', async () => {
    const { url, notifier } = await serve(server.url)
    await notifier.notify('ada', { data: 1 })
    const client = await live(url, { lastEventId: '9999999999999999-0' })
    expect(client.events.map(({ event }) => event)).toEqual(['gap', 'message', 'status'])
  })

  it('follows topics besides its user, each with its own place', async () => {
    const { url, notifier } = await serve(server.url)
    const client = await live(url, { topics: 'news,sport' })
    await notifier.broadcast('news', { type: 'headline', data: 'n1' })
    await notifier.notify('ada', { data: 'u1' })
    await notifier.broadcast('weather', { data: 'w1' })
    await eventually(() => client.data().length === 2)
    client.close()
    await notifier.broadcast('sport', { data: 's1' })
    await notifier.broadcast('news', { data: 'n2' })
    await notifier.notify('ada', { data: 'u2' })
    const back = await live(url, { topics: 'sport,news', lastEventId: client.lastEventId })
    expect([...back.data()].sort()).toEqual(['n2', 's1', 'u2'])
    expect(back.of('headline')).toEqual([])
    expect(back.events.find(({ data }) => data.data === 's1')?.data).toMatchObject({ topic: 'sport' })
  })

  it('stays alive by comments while nothing happens', async () => {
    const { url } = await serve(server.url, { heartbeat: 100 })
    const { response } = await live(url)
    const beats: string[] = []
    response.on('data', (text: string) => text.startsWith(':') && beats.push(text))
    await eventually(() => beats.length >= 2)
  })

  it('skips what is no notification of ours in the stream or on the channel, and says so', async () => {
    const { url, notifier, redis } = await serve(server.url)
    const corrupt: unknown[] = []
    redis.on('data.corrupt', (event) => void corrupt.push(event))
    const client = await live(url)
    const slot = redis.keys.slot('ada')
    const channel = redis.keys.key('notifications', 'user', slot, 'live')
    for (const bad of ['', 'n', 'n 1-0  x\n\ndata: y "z"', '\u0000', 'r 99999999999999999999', 'n zz 1-0 a 1']) {
      await server.client().publish(channel, bad)
    }
    await server.client().xadd(redis.keys.key('notifications', 'user', slot, 'log'), '*', 'd', '{"a":\n1}', 't', 'x')
    await notifier.notify('ada', { data: 'good' })
    await client.until('message')
    expect(client.data()).toEqual(['good'])
    expect((await live(url)).data()).toEqual(['good'])
    expect(corrupt.length).toBeGreaterThan(4)
  })
})

describe('reading', () => {
  it('counts what is unread, marks up to an id or everything, and tells the other streams of the user', async () => {
    const { url, notifier } = await serve(server.url, { history: 5 })
    const ids: string[] = []
    for (const n of range(1, 8)) {
      const result = await notifier.notify(7, { data: n })
      if ('id' in result) ids.push(result.id)
    }
    expect(await notifier.unread(7)).toBe(8)
    const client = await live(url, { user: '7' })
    expect(await notifier.markRead('7', ids[6])).toBe(1)
    expect(await notifier.markRead('7', ids[2])).toBe(1)
    expect((await client.until('unread')).data).toEqual({ unread: 1 })
    await notifier.notify(7, { data: 9 })
    expect(await notifier.markRead('7')).toBe(0)
    expect((await client.until('unread', 2)).data).toEqual({ unread: 0 })
    expect(await notifier.markRead('nobody')).toBe(0)
    expect(await notifier.unread('nobody')).toBe(0)
  })

  it('pages through the history, newest first', async () => {
    const { notifier } = await serve(server.url)
    for (const n of range(1, 5)) await notifier.notify('ada', { type: 'note', data: n })
    const first = await notifier.history('ada', { limit: 2 })
    expect(first).toMatchObject({ unread: 5, degraded: false })
    expect(first.notifications.map(({ data, type }) => [data, type])).toEqual([
      [5, 'note'],
      [4, 'note'],
    ])
    const next = await notifier.history('ada', { limit: 9, before: first.notifications[1]?.id })
    expect(next.notifications.map(({ data }) => data)).toEqual([3, 2, 1])
  })

  it('knows whether a user has a stream open in any process', async () => {
    const one = await serve(server.url)
    const other = await serve(server.url)
    expect(await other.notifier.isOnline('ada')).toBe(false)
    const client = await live(one.url)
    expect(await other.notifier.isOnline('ada')).toBe(true)
    expect(one.notifier.stats()).toEqual({ connections: 1, users: 1, lagging: 0 })
    client.close()
    await eventually(async () => (await other.notifier.isOnline('ada')) === false)
    expect(one.notifier.stats()).toEqual({ connections: 0, users: 0, lagging: 0 })
  })
})

describe('telling', () => {
  it('stores a notification with the same key once, and shows it once', async () => {
    const { url, notifier } = await serve(server.url)
    const client = await live(url)
    const results = await Promise.all(
      Array.from({ length: 50 }, () => notifier.notify('ada', { data: 'paid', key: 'order:17' })),
    )
    expect(results.filter(({ outcome }) => outcome === 'stored')).toHaveLength(1)
    expect(new Set(results.map((result) => 'id' in result && result.id)).size).toBe(1)
    await notifier.notify('ada', { data: 'end' })
    await client.until('message', 2)
    expect(client.data()).toEqual(['paid', 'end'])
  })

  it.each([
    ['a type with a line break', { type: 'x\ndata: forged', data: 1 }, 'invalid'],
    ['a reserved type', { type: 'error', data: 1 }, 'invalid'],
    ['an empty type', { type: '', data: 1 }, 'invalid'],
    ['an empty key', { key: '', data: 1 }, 'invalid'],
    ['no data', {} as { data: unknown }, 'not-json'],
    ['a BigInt', { data: 1n }, 'not-json'],
    ['more than maxBytes', { data: 'x'.repeat(17_000) }, 'too-large'],
  ])('refuses %s with a clear error and stores nothing', async (_, message, problem) => {
    const { notifier } = await serve(server.url)
    await expect(notifier.notify('ada', message)).rejects.toMatchObject({ code: 'ERR_HOLDFAST_PAYLOAD', problem })
    expect((await notifier.history('ada')).notifications).toEqual([])
  })

  it('keeps users and topics of one name, and names of any characters, apart', async () => {
    const { url, notifier } = await serve(server.url)
    const names = ['a:b', '{a}', '*', '__proto__', 'constructor', 'x'.repeat(300), 'é ü']
    for (const name of names) await notifier.notify(name, { data: name })
    await notifier.broadcast('ada', { data: 'topic' })
    for (const name of names) {
      expect((await notifier.history(name)).notifications.map(({ data }) => data)).toEqual([name])
    }
    expect((await live(url, { user: 'ada' })).data()).toEqual([])
  })

  it('refuses users, ids and options that are none', async () => {
    const { notifier, redis } = await serve(server.url)
    await expect(notifier.notify('', { data: 1 })).rejects.toThrow('"userId" must be a non-empty string')
    await expect(notifier.markRead('ada', '1-0; FLUSHALL')).rejects.toThrow('"id" must be the id of a notification')
    expect(() => createNotifier({ redis, history: 0 })).toThrow('"history"')
    expect(() => notifier.stream({} as never)).toThrow('"user" is required')
  })
})

describe('limits', () => {
  it('answers 429 over the streams of one user, 503 over all, 401 to nobody, and frees what was closed', async () => {
    const { url, notifier, redis } = await serve(server.url, { maxPerUser: 2, maxConnections: 3 })
    const refused: unknown[] = []
    redis.on('notifications.stream', (event) => event.type === 'refused' && refused.push(event.reason))
    const [first] = [await live(url), await live(url)]
    const third = await connect(url)
    expect([third.response.statusCode, third.response.headers['retry-after']]).toEqual([429, '5'])
    await live(url, { user: 'bob' })
    expect((await connect(url, { user: 'cid' })).response.statusCode).toBe(503)
    expect((await connect(url, { user: '' })).response.statusCode).toBe(401)
    first?.close()
    await eventually(() => notifier.stats().connections === 2)
    await live(url, { user: 'cid' })
    expect(refused).toEqual(['user-limit', 'total-limit'])
  })

  it('hands errors of the application to its error handler, on Express 4 too, and leaves no stream behind', async () => {
    const redis = createRedisManager({ url: server.url, logger: false, commandTimeout: 2000 })
    afterwards(() => redis.close())
    const notifier = createNotifier({ redis })
    const broken = notifier.stream({ user: () => Promise.reject(new Error('no user store')) })
    for (const make of [express, express4 as unknown as typeof express]) {
      const app = make().get('/events', broken)
      app.use(((error, _req, res, _next) => void res.status(500).send(error.message)) as express.ErrorRequestHandler)
      const { base } = await listen(app)
      const { response } = await connect(`${base}/events`).catch((error) => error)
      expect(response.statusCode).toBe(500)
    }
    expect(notifier.stats().connections).toBe(0)
  })

  it('close() ends every stream, refuses new ones, and unsubscribes', async () => {
    const { url, notifier } = await serve(server.url)
    const client = await live(url)
    notifier.close()
    notifier.close()
    await eventually(() => client.closed)
    expect((await connect(url)).response.statusCode).toBe(503)
    await eventually(async () => (await server.client().pubsub('CHANNELS')).length === 0)
  })
})

describe('transport', () => {
  it('passes through compression without being held back', async () => {
    const redis = createRedisManager({ url: server.url, logger: false, commandTimeout: 2000 })
    const notifier = createNotifier({ redis })
    afterwards(() => redis.close())
    const app = express()
      .use(compression({ threshold: 0 }))
      .get('/events', notifier.stream({ user: () => 'ada' }))
    await redis.ready()
    const { base } = await listen(app)
    const events: Received[] = []
    const parse = createParser((event) => void events.push(event))
    const request = httpRequest(
      `${base}/events`,
      { headers: { 'Accept-Encoding': 'gzip' }, agent: false },
      (response) => {
        expect(response.headers['content-encoding']).toBeUndefined()
        response.setEncoding('utf8').on('data', parse)
      },
    )
    request.on('error', () => {}).end()
    afterwards(() => request.destroy())
    await eventually(() => events.length === 1)
    await notifier.notify('ada', { data: 'now' })
    await eventually(() => events.length === 2, { within: 10_000 })
    notifier.close()
  })

  it('works over HTTP/2, replay included', async () => {
    const redis = createRedisManager({ url: server.url, logger: false, commandTimeout: 2000 })
    const notifier = createNotifier({ redis })
    afterwards(() => redis.close())
    await redis.ready()
    await notifier.notify('ada', { data: 1 })
    const handler = notifier.stream({ user: () => 'ada' }) as unknown as (...args: unknown[]) => void
    const http2 = createHttp2((req, res) =>
      handler(req, res, () => res.stream.respond({ ':status': 404 }, { endStream: true })),
    )
    await new Promise<void>((resolve) => http2.listen(0, '127.0.0.1', resolve))
    const session = connectHttp2(`http://127.0.0.1:${(http2.address() as AddressInfo).port}`)
    afterwards(() => {
      session.destroy()
      http2.close()
    })
    const events: Received[] = []
    const stream = session.request({ ':path': '/events', 'last-event-id': '0-0' })
    const status = new Promise((resolve) => stream.once('response', (headers) => resolve(headers[':status'])))
    stream.setEncoding('utf8').on(
      'data',
      createParser((event) => void events.push(event)),
    )
    expect(await status).toBe(200)
    await eventually(() => events.some(({ event }) => event === 'status'))
    await notifier.notify('ada', { data: 2 })
    await eventually(() => events.filter(({ event }) => event === 'message').length === 2)
    stream.close()
    await eventually(() => notifier.stats().connections === 0)
    const second = session.request({ ':path': '/events' })
    await new Promise((resolve) => second.once('response', resolve))
    notifier.close()
    await new Promise((resolve) => second.resume().once('end', resolve))
  })

  it('works on a Cluster', async () => {
    const cluster = await startCluster()
    afterwards(() => cluster.stop())
    const options = { cluster: { nodes: cluster.nodes } }
    const [one, other] = [await serve(options), await serve(options)]
    await Promise.all([one.redis.ready('5s'), other.redis.ready('5s')])
    const users = range(1, 12).map((n) => `user-${n}`)
    const clients = await Promise.all(users.map((user) => live(one.url, { user, topics: 'all' })))
    await Promise.all(users.map((user) => other.notifier.notify(user, { data: user })))
    await other.notifier.broadcast('all', { data: 'all' })
    await Promise.all(clients.map((client) => eventually(() => client.data().length === 2, { within: 10_000 })))
    for (const [index, client] of clients.entries()) expect(client.data()).toContain(users[index])
    expect(await other.notifier.isOnline('user-3')).toBe(true)
    expect(await other.notifier.isOnline('user-99')).toBe(false)
  }, 60_000)
})
