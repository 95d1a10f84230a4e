import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from '../support/eventually.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { closeAll, ready, SLACK, timed, watched } from './support.js'

let server: RedisServer

beforeAll(async () => {
  server = await startRedis()
})
afterEach(async () => {
  server.resume()
  await closeAll()
  await server.client().flushall()
})
afterAll(() => server.stop())

async function blocked(): Promise<number> {
  return Number(/blocked_clients:(\d+)/.exec(await server.client().info('clients'))?.[1])
}

test('blocking work waits without holding up the shared connection', async () => {
  const { redis } = await ready({ url: server.url })
  const popped = redis.pool.use('pop', (client) => client.brpop('jobs', 10))
  await eventually(async () => (await blocked()) === 1)
  await sleep(1200)
  expect(await redis.execute('push', (client) => client.lpush('jobs', 'job'))).toBe(1)
  expect(await popped).toEqual(['jobs', 'job'])
})

test('connections are reused, and never more than the maximum', async () => {
  const { redis } = await ready({ url: server.url, maxConnections: 3 })
  const ids = new Set<number>()
  let running = 0
  let most = 0
  await Promise.all(
    Array.from({ length: 30 }, () =>
      redis.pool.use('id', async (client) => {
        most = Math.max(most, ++running)
        ids.add((await client.client('ID')) as number)
        await sleep(2)
        running--
      }),
    ),
  )
  expect(most).toBe(3)
  expect(ids.size).toBe(3)
  expect(redis.pool.size).toBe(3)
})

test('who finds no free connection in time is refused, and those who wait are served in order', async () => {
  const { redis } = await ready({ url: server.url, maxConnections: 1 })
  const order: number[] = []
  const holding = redis.pool.use('hold', () => sleep(150))
  const refused = redis.pool.use('late', async () => {}, { waitMs: 50 })
  const waiting = [1, 2, 3].map((number) => redis.pool.use('wait', async () => void order.push(number)))
  await expect(refused).rejects.toMatchObject({ reason: 'overloaded' })
  await Promise.all([holding, ...waiting])
  expect(order).toEqual([1, 2, 3])
  expect(redis.pool.size).toBe(1)
})

test('work that fails keeps its error and gives up its connection, whose state nobody knows', async () => {
  const { redis } = await ready({ url: server.url, maxConnections: 1 })
  const bug = new Error('a bug')
  const fail = redis.pool.use('watch', async (client) => {
    await client.watch('a')
    throw bug
  })
  await expect(fail).rejects.toBe(bug)
  await expect(redis.pool.use('push', (client) => client.lpush('a'))).rejects.toMatchObject({
    code: 'ERR_HOLDFAST_REDIS_COMMAND',
  })
  expect(redis.pool.size).toBe(0)
  expect(await redis.pool.use('get', (client) => client.get('a'))).toBeNull()
})

test('a connection that breaks while in use is replaced', async () => {
  const { redis } = await ready({ url: server.url, maxConnections: 1 })
  const popped = redis.pool.use('pop', (client) => client.brpop('jobs', 0))
  await eventually(async () => (await blocked()) === 1)
  await server.client().call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
  await expect(popped).rejects.toMatchObject({ code: 'ERR_HOLDFAST_REDIS_UNAVAILABLE', reason: 'lost' })
  expect(await redis.pool.use('get', (client) => client.get('a'))).toBeNull()
})

test('a connection that breaks while idle is replaced', async () => {
  const { redis } = await ready({ url: server.url, maxConnections: 1 })
  const idOf = () => redis.pool.use('id', (client) => client.client('ID'))
  const first = await idOf()
  expect(await idOf()).toBe(first)
  await server.restart()
  await eventually(async () => (await idOf()) !== undefined, { within: 5000 })
})

test('absent Redis: refused after the wait, and served once it is there', async () => {
  const { redis } = watched({ port: 1 })
  const took = await timed(() =>
    expect(redis.pool.use('get', (client) => client.get('a'), { waitMs: 100 })).rejects.toMatchObject({
      reason: 'down',
    }),
  )
  expect(took).toBeLessThan(100 + SLACK)
  expect(redis.pool.size).toBe(0)
})

test('a deadline ends work on a hung server, and its connection with it', async () => {
  const { redis } = await ready({ url: server.url, maxConnections: 1 })
  await redis.pool.use('get', (client) => client.get('a'))
  server.pause()
  const took = await timed(() =>
    expect(redis.pool.use('get', (client) => client.get('a'), { deadlineMs: 100 })).rejects.toMatchObject({
      reason: 'timeout',
    }),
  )
  expect(took).toBeLessThan(100 + SLACK)
  expect(redis.pool.size).toBe(0)
  server.resume()
  expect(await redis.pool.use('get', (client) => client.get('a'), { waitMs: 3000 })).toBeNull()
})

test('close() ends blocked work, and whoever waits for a connection, at once', async () => {
  const { redis } = await ready({ url: server.url, maxConnections: 1 })
  const popped = redis.pool.use('pop', (client) => client.brpop('jobs', 0))
  const waiting = redis.pool.use('wait', (client) => client.get('a'), { waitMs: 10_000 })
  const outcomes = Promise.allSettled([popped, waiting])
  await eventually(async () => (await blocked()) === 1)
  expect(await timed(() => redis.close())).toBeLessThan(500)
  for (const outcome of await outcomes) {
    expect(outcome).toMatchObject({ status: 'rejected', reason: { reason: 'closed' } })
  }
  await expect(redis.pool.use('get', (client) => client.get('a'))).rejects.toMatchObject({ reason: 'closed' })
  expect(redis.pool.size).toBe(0)
  await eventually(async () => (await blocked()) === 0)
})
