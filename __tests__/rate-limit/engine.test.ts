import { describe, expect, it } from '@jest/globals'
import { RateLimiterMemory, RateLimiterQueue, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible'
import { Engine, NO_BLOCK } from '../../src/rate-limit/engine.js'
import { toPolicy } from '../../src/rate-limit/policy.js'
import { createRedisManager } from '../../src/redis/index.js'
import { aNewName, useRedis } from './support.js'

const world = useRedis()

function engine(limit: number, window: `${number}s` = '60s'): Engine {
  const { redis } = world
  const name = aNewName()
  const policy = toPolicy({ name: 'p', limit, window }, 'sliding')
  return new Engine({ redis, policy, block: NO_BLOCK, keyOf: (key) => redis.keys.key('rate', name, key) })
}

describe('what rate-limiter-flexible keeps private and we stand on', () => {
  const inherited = RateLimiterRedis.prototype as unknown as Record<string, { length: number }>
  const limiter = new RateLimiterRedis({ storeClient: {}, points: 1, duration: 1 })

  it.each(['_upsert', '_get', '_delete', '_getRateLimiterRes'])('%s is a method', (name) => {
    expect(typeof inherited[name]).toBe('function')
  })

  it('asks its storage with these arguments, and reads its answer through _getRateLimiterRes', async () => {
    const calls: unknown[][] = []
    const probe = new (class extends RateLimiterRedis {
      async _upsert(...args: unknown[]) {
        calls.push(['_upsert', ...args])
        return [5, 100]
      }
      async _get(...args: unknown[]) {
        calls.push(['_get', ...args])
        return [5, 100]
      }
      async _delete(...args: unknown[]) {
        calls.push(['_delete', ...args])
        return true
      }
      _getRateLimiterRes(key: string, changed: number, reply: number[]) {
        calls.push(['_getRateLimiterRes', key, changed])
        return new RateLimiterRes(1, reply[1], reply[0])
      }
    })({ storeClient: {}, points: 10, duration: 1.5, keyPrefix: '' })
    await probe.consume('a', 2)
    await probe.reward('a', 2)
    await probe.block('a', 3)
    await probe.get('a')
    await probe.delete('a')
    expect(calls).toEqual([
      ['_upsert', 'a', 2, 1500, false, {}],
      ['_getRateLimiterRes', 'a', 2],
      ['_upsert', 'a', -2, 1500, false, {}],
      ['_getRateLimiterRes', 'a', -2],
      ['_upsert', 'a', 11, 3000, true, {}],
      ['_get', 'a', {}],
      ['_getRateLimiterRes', 'a', 0],
      ['_delete', 'a', {}],
    ])
  })

  it('needs nothing of its store client at construction, and keeps its numbers where we read them', () => {
    expect([limiter.points, limiter.duration, limiter.keyPrefix]).toEqual([1, 1, 'rlflx'])
  })
})

describe('as a limiter of rate-limiter-flexible', () => {
  it('resolves while points are left and rejects with its result afterwards', async () => {
    const limiter = engine(2)
    expect(await limiter.consume('a')).toMatchObject({ remainingPoints: 1, consumedPoints: 1, isFirstInDuration: true })
    expect(await limiter.consume('a')).toMatchObject({ remainingPoints: 0, consumedPoints: 2 })
    const refusal: unknown = await limiter.consume('a').catch((reason: unknown) => reason)
    expect(refusal).toBeInstanceOf(RateLimiterRes)
    expect(refusal).toMatchObject({ remainingPoints: 0, consumedPoints: 3 })
    expect((refusal as RateLimiterRes).msBeforeNext).toBeGreaterThan(59_000)
  })

  it('allows exactly the limit of 100 parallel calls', async () => {
    const limiter = engine(10)
    const results = await Promise.allSettled(Array.from({ length: 100 }, () => limiter.consume('a')))
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(10)
  })

  it('knows get, penalty, reward, block and delete', async () => {
    const limiter = engine(5)
    expect(await limiter.get('a')).toBeNull()
    await limiter.penalty('a', 4)
    expect(await limiter.get('a')).toMatchObject({ consumedPoints: 4, remainingPoints: 1 })
    await limiter.reward('a', 3)
    expect(await limiter.get('a')).toMatchObject({ consumedPoints: 1, remainingPoints: 4 })
    await limiter.block('a', 30)
    const blocked: unknown = await limiter.consume('a').catch((reason: unknown) => reason)
    expect((blocked as RateLimiterRes).msBeforeNext).toBeGreaterThan(29_000)
    expect(await limiter.delete('a')).toBe(true)
    expect(await limiter.delete('a')).toBe(false)
    expect(await limiter.consume('a')).toMatchObject({ consumedPoints: 1 })
    await expect(limiter.set()).rejects.toThrow(TypeError)
    await expect(limiter.consume('a', 0.5)).rejects.toThrow(TypeError)
  })

  it('may penalise beyond the limit', async () => {
    const limiter = engine(3)
    await limiter.penalty('a', 7)
    expect(await limiter.get('a')).toMatchObject({ consumedPoints: 7, remainingPoints: 0 })
    await limiter.reward('a', 5)
    expect(await limiter.consume('a')).toMatchObject({ remainingPoints: 0 })
  })

  it('is accepted by its queue', async () => {
    const queue = new RateLimiterQueue(engine(2))
    expect(await queue.removeTokens(1, 'a')).toBe(1)
    expect(await queue.removeTokens(1, 'a')).toBe(0)
  })

  it('lets its insurance limiter answer while Redis is away', async () => {
    const redis = createRedisManager({ url: 'redis://127.0.0.1:1', logger: false })
    const policy = toPolicy({ name: 'p', limit: 1, window: '1m' }, 'sliding')
    const limiter = new Engine({ redis, policy, block: NO_BLOCK, keyOf: (key) => key })
    await expect(limiter.consume('a')).rejects.toMatchObject({ code: 'ERR_HOLDFAST_REDIS_UNAVAILABLE' })
    Object.assign(limiter, { insuranceLimiter: new RateLimiterMemory({ points: 1, duration: 60 }) })
    expect(await limiter.consume('a')).toMatchObject({ remainingPoints: 0 })
    await expect(limiter.consume('a')).rejects.toBeInstanceOf(RateLimiterRes)
    await redis.close()
  })
})
