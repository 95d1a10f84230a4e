import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import type { Redis } from 'ioredis'
import { eventually } from '../support/eventually.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { closeAll, ready, timed, watched } from './support.js'

let server: RedisServer
beforeAll(async () => {
  server = await startRedis()
})
afterEach(async () => {
  server.resume()
  await closeAll()
})
afterAll(() => server.stop())

const connections = async (): Promise<number> =>
  String(await server.client().client('LIST'))
    .split('\n')
    .filter((line) => /name=holdfast:worker/.test(line)).length

test('a connection of a feature and all its duplicates close with it, or with the manager, which says so first', async () => {
  const { redis } = await ready({ url: server.url })
  const said: string[] = []
  const one = redis.open('worker')
  const other = redis.open('worker', () => said.push('closing'))
  for (const each of [one, one, other]) (each?.client as Redis | undefined)?.duplicate()
  await eventually(async () => (await connections()) === 5)
  await one?.close()
  await eventually(async () => (await connections()) === 2)
  await redis.close()
  expect(said).toEqual(['closing'])
  await eventually(async () => (await connections()) === 0)
  expect(redis.open('worker')).toBeUndefined()
  await expect(other?.client.connect()).rejects.toThrow('Connection is closed')
})

test('a worker’s connection waits for a server that is away, and closes at once while it is hung', async () => {
  const { redis } = await ready({ url: server.url })
  const own = redis.open('worker')
  await server.kill()
  const waiting = own?.client.set('waited', 'for')
  await server.restart()
  expect(await waiting).toBe('OK')
  server.pause()
  own?.client.get('waited').catch(() => {})
  expect(await timed(() => redis.close())).toBeLessThan(1000)
})

test('work of several round trips is not late because the event loop was blocked meanwhile', async () => {
  const { redis } = await ready({ url: server.url })
  const own = redis.open('command')
  if (own === undefined) throw new Error('no connection')
  const client = own.client as Redis
  await own.execute('try', () => client.ping(), { waitMs: 5000 })
  const work = async (): Promise<string> => {
    await client.ping()
    const until = performance.now() + 400
    while (performance.now() < until);
    await client.ping()
    return client.ping()
  }
  // Again where this machine was itself late.
  await eventually(async () => (await own.execute('try', work, { deadlineMs: 300 })) === 'PONG', { within: 10_000 })
})

test('what is sent over it fails closed and in time, and says nothing about the shared connection', async () => {
  const { redis, events } = await ready({ url: server.url })
  const own = redis.open('command')
  if (own === undefined) throw new Error('no connection')
  const ping = () => own.execute('try', async () => own.client.get('a'))
  expect(await own.execute('try', async () => own.client.get('a'), { waitMs: 1000 })).toBeNull()
  await expect(own.execute('try', () => own.client.call('NONSENSE'))).rejects.toThrow('Redis refused try: ERR')
  own.client.disconnect(true)
  for (let n = 0; n < 5; n++) await expect(ping()).rejects.toMatchObject({ code: 'ERR_HOLDFAST_REDIS_UNAVAILABLE' })
  expect(redis.state).toBe('up')
  server.pause()
  await own.execute('try', async () => own.client.get('a'), { waitMs: 50 }).catch(() => {})
  expect(await timed(ping)).toBeLessThan(500)
  expect(events.filter((event) => event === 'degraded').length).toBeLessThanOrEqual(1)
})

test('there is none without Redis', () => {
  expect(watched().redis.open('command')).toBeUndefined()
})
