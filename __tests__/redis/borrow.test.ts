import { Redis } from 'ioredis'
import { createRedisManager } from '../../src/redis/index.js'
import { eventually } from '../support/eventually.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { closeAll, get, ready, watched } from './support.js'

let server: RedisServer
const clients: Redis[] = []

beforeAll(async () => {
  server = await startRedis()
})
afterEach(async () => {
  await closeAll()
  for (const client of clients.splice(0)) client.disconnect()
  await server.client().flushall()
})
afterAll(() => server.stop())

function borrowed(options: object = {}): Redis {
  const client = new Redis({ port: server.port, disconnectTimeout: 20, ...options })
  clients.push(client)
  return client
}

const careful = { autoResendUnfulfilledCommands: false, maxRetriesPerRequest: 0, socketTimeout: 1000 }

test('a borrowed client is used as it is and left open', async () => {
  const client = borrowed()
  const { redis } = await ready({ client })
  expect(await redis.execute('same', async (it) => it === client)).toBe(true)
  await redis.execute('set', (it) => it.set('a', '1'))
  await redis.close()
  expect(await client.get('a')).toBe('1')
})

test('one that is ready already, and one that waits for its first command, are used at once', async () => {
  const connected = borrowed()
  await connected.ping()
  expect(await get((await ready({ client: connected })).redis)).toBeNull()
  const lazy = borrowed({ lazyConnect: true })
  expect(await get((await ready({ client: lazy })).redis)).toBeNull()
})

test('risky settings are warned about, each once by its code; careful ones are not', async () => {
  const { lines } = await ready({ client: borrowed() })
  expect(lines.filter((line) => line.includes('[HOLDFAST_CLIENT_RESENDS]'))).toHaveLength(1)
  expect(lines.filter((line) => line.includes('[HOLDFAST_CLIENT_NO_WATCHDOG]'))).toHaveLength(1)
  const silent = await ready({ client: borrowed(careful) })
  expect(silent.lines.filter((line) => line.includes('HOLDFAST_CLIENT'))).toEqual([])
})

test('a keyPrefix is refused, because half of Redis ignores it', () => {
  const client = borrowed({ keyPrefix: 'shop:' })
  expect(() => createRedisManager({ client, env: {} })).toThrow(
    /createRedisManager: "client" must not have a keyPrefix/,
  )
})

test('the environment does not send the manager elsewhere', async () => {
  const { redis } = await ready({ client: borrowed(), env: { REDIS_URL: 'redis://192.0.2.1', REDIS_PASSWORD: 'x' } })
  expect(await get(redis)).toBeNull()
})

test('pooled connections block past the watchdogs of the client they are made from', async () => {
  const { redis } = await ready({ client: borrowed({ ...careful, socketTimeout: 300, commandTimeout: 300 }) })
  const popped = redis.pool.use('pop', (client) => client.brpop('jobs', 5))
  await new Promise((resolve) => setTimeout(resolve, 900))
  await server.client().lpush('jobs', 'job')
  expect(await popped).toEqual(['jobs', 'job'])
  expect(await redis.subscriber.subscribe('c', () => {}).ready()).toBe(true)
})

test('an outage is survived, also with the offline queue and retries of the defaults', async () => {
  const { redis, events } = await ready({ client: borrowed({ retryStrategy: () => 50 }) })
  await server.kill()
  await eventually(() => redis.state === 'down')
  expect(await get(redis)).toBe('down')
  await server.restart()
  expect(await redis.ready('5s')).toBe(true)
  expect(events).toEqual(['up', 'down', 'recovered'])
})

test('a client that has ended is down, not connecting for ever', async () => {
  const client = borrowed()
  await client.quit()
  await eventually(() => client.status === 'end')
  const { redis } = watched({ client, connectTimeout: '200ms' })
  await eventually(() => redis.state === 'down')
})

test('close() takes its listeners off the borrowed client', async () => {
  const client = borrowed()
  const count = (): number => client.eventNames().reduce((sum, name) => sum + client.listenerCount(name), 0)
  await client.ping()
  const before = count()
  const { redis } = await ready({ client })
  expect(count()).toBeGreaterThan(before)
  await redis.close()
  expect(count()).toBe(before)
})
