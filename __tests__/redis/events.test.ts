import { inspect } from 'node:util'
import { createRedisManager, type RedisTransition } from '../../src/redis/index.js'
import { eventually } from '../support/eventually.js'
import { startProxy, type TcpProxy } from '../support/proxy.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { closeAll, get, ready, SLACK, timed, watched } from './support.js'

let server: RedisServer
let proxy: TcpProxy
const rejections: unknown[] = []
const note = (reason: unknown): void => void rejections.push(reason)

beforeAll(async () => {
  process.on('unhandledRejection', note)
  server = await startRedis()
  proxy = await startProxy(server.port)
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

test('each transition is announced and logged once, with where from, why and after how long', async () => {
  const { redis, lines, events } = watched({ url: server.url })
  const seen: (RedisTransition & { to: string })[] = []
  for (const type of ['up', 'down', 'degraded', 'recovered'] as const) {
    redis.on(type, (transition) => seen.push({ ...transition, to: redis.state }))
  }
  await redis.ready()
  await server.kill()
  await eventually(() => redis.state === 'down')
  for (let i = 0; i < 20; i++) await get(redis)
  await new Promise((resolve) => setTimeout(resolve, 400))
  await server.restart()
  await redis.ready('5s')
  await redis.close()
  expect(redis.state).toBe('closed')
  expect(events).toEqual(['up', 'down', 'recovered'])
  expect(seen).toEqual([
    { from: 'connecting', to: 'up', reason: 'a probe was answered', afterMs: expect.any(Number) },
    { from: 'up', to: 'down', reason: expect.any(String), afterMs: expect.any(Number) },
    { from: 'down', to: 'up', reason: 'a probe was answered', afterMs: expect.any(Number) },
  ])
  expect(seen[2]?.afterMs).toBeGreaterThan(350)
  expect(lines).toEqual([
    'holdfast: Redis is up (a probe was answered)',
    expect.stringMatching(/^holdfast: Redis is down \(.+\); Holdfast passes through until it returns$/),
    'holdfast: Redis is up (a probe was answered)',
  ])
  expect(JSON.stringify([seen, lines])).not.toContain('127.0.0.1')
})

test('listeners that throw or reject, and a logger that throws, harm nobody', async () => {
  const redis = createRedisManager({
    env: {},
    url: server.url,
    logger: {
      info: () => {
        throw new Error('the log is full')
      },
      warn: () => {},
      error: () => {
        throw new Error('the log is full')
      },
    },
  })
  let heard = 0
  redis.on('up', () => {
    throw new Error('listener')
  })
  redis.on('up', (() => Promise.reject(new Error('listener'))) as () => void)
  redis.on('up', () => heard++)
  expect(await redis.ready()).toBe(true)
  expect(heard).toBe(1)
  expect(await get(redis)).toBeNull()
  await redis.close()
})

test('a listener may leave while it is called, and twice', async () => {
  const { redis } = watched({ url: server.url })
  let heard = 0
  const leave = redis.on('up', () => {
    heard++
    leave()
  })
  await redis.ready()
  leave()
  expect(heard).toBe(1)
  expect(redis.listens('up')).toBe(true)
})

test('a call is reported with its outcome while somebody listens', async () => {
  const { redis } = await ready({ url: proxy.url })
  const calls: string[] = []
  expect(redis.listens('redis.call')).toBe(false)
  const leave = redis.on('redis.call', ({ operation, outcome, durationMs }) => {
    expect(durationMs).toBeGreaterThanOrEqual(0)
    calls.push(`${operation} ${outcome}`)
  })
  await get(redis)
  await redis.execute('push', (client) => client.lpush('a')).catch(() => {})
  proxy.latency(500)
  await get(redis)
  await eventually(() => !redis.available)
  await get(redis)
  leave()
  await get(redis)
  expect(calls).toEqual(['get ok', 'push error', 'get timeout', 'get refused'])
})

test('a warning is said once per code, and announced', async () => {
  const { redis, lines } = watched({})
  const warnings: string[] = []
  redis.on('warning', ({ code, message }) => warnings.push(`${code}: ${message}`))
  redis.warn('HOLDFAST_TEST', 'mind the gap')
  redis.warn('HOLDFAST_TEST', 'mind the gap')
  expect(warnings).toEqual(['HOLDFAST_TEST: mind the gap'])
  expect(lines.filter((line) => line.includes('mind the gap'))).toEqual(['holdfast: mind the gap [HOLDFAST_TEST]'])
})

test('an operation that throws is reported once, by the place and never by the data', async () => {
  const { redis, lines } = await ready({ url: server.url })
  const parse = async (): Promise<string> => JSON.parse('{"card": 4111 1111}')
  for (let i = 0; i < 3; i++) await redis.attempt('parse', parse, () => '')
  const said = lines.filter((line) => line.includes('HOLDFAST_OPERATION_THREW:parse:SyntaxError'))
  expect(said).toHaveLength(1)
  expect(said[0]).not.toContain('4111')
})

describe('health', () => {
  test('up: a fresh latency and nothing in flight', async () => {
    const { redis } = await ready({ url: server.url })
    const health = await redis.health()
    expect(health).toMatchObject({ state: 'up', inFlight: 0, lastError: undefined })
    expect(health.latencyMs).toBeGreaterThan(0)
    expect(health.since.getTime()).toBeLessThanOrEqual(Date.now())
  })

  test('it is bounded and never rejects: hung, degraded, down, closed', async () => {
    const { redis } = await ready({ url: server.url })
    server.pause()
    for (const state of ['degraded', 'down'] as const) {
      const took = await timed(async () => expect((await redis.health()).state).toMatch(/up|degraded|down/))
      expect(took).toBeLessThan(75 + SLACK)
      await eventually(() => redis.state === state, { within: 3000 })
      const health = await redis.health()
      expect(health).toMatchObject({ state, latencyMs: undefined })
      expect(health.lastError?.message).toMatch(/^no answer within (75|1000) ms$/)
    }
    await redis.close()
    expect(await redis.health()).toMatchObject({ state: 'closed', latencyMs: undefined })
  })
})

describe('ready()', () => {
  test('waits out a degradation', async () => {
    const { redis } = await ready({ url: proxy.url })
    proxy.latency(300)
    await get(redis)
    await eventually(() => redis.state === 'degraded')
    const waiting = redis.ready('5s')
    expect(await redis.ready(50)).toBe(false)
    proxy.pass()
    expect(await waiting).toBe(true)
  })

  test('is false at once when it is closed, before or meanwhile', async () => {
    const { redis } = watched({ port: 1 })
    const waiting = redis.ready('20s')
    await redis.close()
    expect(await waiting).toBe(false)
    expect(await timed(() => redis.ready('20s'))).toBeLessThan(SLACK)
  })
})

test('a server that speaks only RESP2 and quotes what it does not know is used, and quoted nowhere', async () => {
  const secret = 'hunter2-correct-horse'
  const old = await startRedis({ args: ['--rename-command', 'HELLO', ''] })
  await old.client().config('SET', 'requirepass', secret)
  const { redis, lines } = await ready({ port: old.port, password: secret })
  expect(await get(redis)).toBeNull()
  const got: string[] = []
  const subscription = redis.subscriber.subscribe('c', (message) => got.push(message))
  expect(await subscription.ready()).toBe(true)
  await new Promise((resolve) => setTimeout(resolve, 1200))
  await redis.execute('publish', (client) => client.publish('c', 'hello'))
  await eventually(() => got.length === 1)
  const error = await redis.execute('odd', (client) => client.call('NOSUCH', secret)).catch((reason) => reason as Error)
  expect(error).toMatchObject({ code: 'ERR_HOLDFAST_REDIS_COMMAND', kind: 'ERR' })
  expect(inspect([error, lines], { depth: 10 })).not.toContain(secret)
  await redis.close()
  await old.stop()
})
