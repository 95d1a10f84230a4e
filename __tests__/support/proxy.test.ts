import { Redis } from 'ioredis'
import { eventually } from './eventually.js'
import { startProxy, type TcpProxy } from './proxy.js'
import { type RedisServer, startRedis } from './redis-server.js'

let server: RedisServer
let proxy: TcpProxy
let client: Redis

beforeAll(async () => {
  server = await startRedis()
})
beforeEach(async () => {
  proxy = await startProxy(server.port)
  client = connect()
  await client.ping()
})
afterEach(async () => {
  client.disconnect()
  await proxy.stop()
})
afterAll(() => server.stop())

function connect(): Redis {
  const redis = new Redis(proxy.url, { retryStrategy: () => 20, maxRetriesPerRequest: 0, disconnectTimeout: 50 })
  return redis.on('error', () => {})
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await work()
  return performance.now() - start
}

test('passes bytes through and counts them', async () => {
  const before = proxy.bytesTo()
  await client.set('a', 'x'.repeat(1000))
  expect(await client.get('a')).toBe('x'.repeat(1000))
  expect(proxy.bytesTo() - before).toBeGreaterThan(1000)
  expect(proxy.connections()).toBe(1)
})

test('delays each reply once, on open and on new connections', async () => {
  proxy.latency(100)
  expect(await timed(() => client.ping())).toBeGreaterThanOrEqual(99)
  expect(await timed(() => client.ping())).toBeLessThan(180)
  const other = connect()
  await other.ping()
  expect(await timed(() => other.ping())).toBeGreaterThanOrEqual(99)
  other.disconnect()
})

test('keeps replies in order when the delay is taken away midway', async () => {
  proxy.latency(80)
  const slow = client.echo('first')
  await new Promise((resolve) => setTimeout(resolve, 20))
  proxy.pass()
  const settled: string[] = []
  await Promise.all([slow, client.echo('second')].map((reply) => reply.then((text) => settled.push(text))))
  expect(settled).toEqual(['first', 'second'])
})

test('a black hole keeps the connection open and loses nothing', async () => {
  proxy.blackhole()
  let answered = false
  const reply = client.ping().then((pong) => {
    answered = true
    return pong
  })
  const before = proxy.bytesTo()
  await new Promise((resolve) => setTimeout(resolve, 100))
  expect(answered).toBe(false)
  expect(proxy.bytesTo()).toBe(before)
  expect(client.status).toBe('ready')
  proxy.pass()
  expect(await reply).toBe('PONG')
})

test('a black hole takes new connections and never answers them', async () => {
  proxy.blackhole()
  const other = connect()
  await eventually(() => proxy.connections() === 2)
  expect(other.status).not.toBe('ready')
  other.disconnect()
})

test('a reset ends open connections and lets clients return', async () => {
  const gone = new Promise((resolve) => client.once('close', resolve))
  proxy.reset()
  await gone
  await eventually(() => client.ping())
})

test('refuses connections until it accepts again, on the same port', async () => {
  const codes: unknown[] = []
  client.on('error', (error: NodeJS.ErrnoException) => codes.push(error.code))
  await proxy.refuse()
  await eventually(() => codes.includes('ECONNREFUSED'))
  await proxy.accept()
  await eventually(() => client.ping())
})

test('slices leave every byte in place', async () => {
  proxy.slice(3)
  const value = 'abcdefghij'.repeat(20)
  await client.set('sliced', value)
  expect(await client.get('sliced')).toBe(value)
})

test('a client that hangs up is forgotten', async () => {
  client.disconnect()
  await eventually(() => proxy.connections() === 0)
})
