import { channel, subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { RedisCall } from '../../src/redis/index.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { closeAll, ready } from './support.js'

let server: RedisServer

beforeAll(async () => {
  server = await startRedis()
})
afterEach(closeAll)
afterAll(() => server.stop())

describe('diagnostics channels', () => {
  it('carry every event of the catalogue under holdfast:<event>', async () => {
    const { redis } = await ready({ url: server.url })
    const calls: RedisCall[] = []
    const note = (call: unknown): void => void calls.push(call as RedisCall)
    subscribe('holdfast:redis.call', note)
    await redis.execute('greet', (client) => client.set('greeting', 'hello'))
    unsubscribe('holdfast:redis.call', note)
    await redis.execute('unheard', (client) => client.get('greeting'))
    expect(calls).toEqual([{ operation: 'greet', outcome: 'ok', durationMs: expect.any(Number) }])
  })

  it('make the manager say that somebody listens only while somebody does', async () => {
    const { redis } = await ready({ url: server.url })
    expect(redis.listens('redis.call')).toBe(false)
    const nothing = (): void => {}
    subscribe('holdfast:redis.call', nothing)
    expect(channel('holdfast:redis.call').hasSubscribers).toBe(true)
    expect(redis.listens('redis.call')).toBe(true)
    unsubscribe('holdfast:redis.call', nothing)
    expect(redis.listens('redis.call')).toBe(false)
  })
})

describe('redis.call', () => {
  it('names what Redis answered, and never what was sent', async () => {
    const { redis } = await ready({ url: server.url })
    const calls: RedisCall[] = []
    redis.on('redis.call', (call) => void calls.push(call))
    await redis.execute('seed', (client) => client.set('text', 'secret'))
    await redis.attempt(
      'wrong',
      (client) => client.lpush('text', 'secret'),
      () => 0,
    )
    await redis.attempt(
      'buggy',
      () => Promise.reject(new TypeError('secret')),
      () => 0,
    )
    expect(calls.map(({ operation, outcome, error }) => [operation, outcome, error])).toEqual([
      ['seed', 'ok', undefined],
      ['wrong', 'error', 'WRONGTYPE'],
      ['buggy', 'error', 'thrown'],
    ])
    expect(JSON.stringify(calls)).not.toContain('secret')
  })
})

describe('redis.register', () => {
  it('keeps sources in order until they are taken back', async () => {
    const { redis } = await ready({ url: server.url })
    const source = (name: string) => ({
      feature: 'cache',
      name,
      status: () => ({ status: 'pass' as const, values: {} }),
    })
    const [first, second] = [source('first'), source('second')]
    const off = redis.register(first)
    redis.register(second)
    expect(redis.sources()).toEqual([first, second])
    off()
    off()
    expect(redis.sources()).toEqual([second])
  })
})
