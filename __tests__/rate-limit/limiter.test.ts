import { describe, expect, it } from '@jest/globals'
import { createRateLimiter, type RateLimiterOptions, rateLimit } from '../../src/rate-limit/index.js'
import { createRedisManager, type RedisManager } from '../../src/redis/index.js'
import { aNewName, eventually, useRedis } from './support.js'

const world = useRedis()

function limiter(options: Partial<RateLimiterOptions> = {}) {
  return createRateLimiter({ redis: world.redis, name: aNewName(), limit: 3, window: '1m', ...options })
}

/** EVALSHA and EVAL calls the server has run. */
async function scripts(): Promise<number> {
  const stats = await world.client().info('commandstats')
  return [...stats.matchAll(/cmdstat_eval(?:sha)?:calls=(\d+)/g)].reduce((sum, [, calls]) => sum + Number(calls), 0)
}

describe('consume', () => {
  it('takes points while all fit, and none otherwise', async () => {
    const it = limiter({ limit: 10 })
    expect(await it.consume('ada', 7)).toMatchObject({ allowed: true, source: 'redis', degraded: false })
    expect(await it.consume('ada', 4)).toMatchObject({ allowed: false, tightest: { used: 7, remaining: 3 } })
    expect(await it.consume('ada', 3)).toMatchObject({ allowed: true, tightest: { remaining: 0 } })
    expect(await it.consume('bob', 10)).toMatchObject({ allowed: true })
  })

  it('refuses a cost above the limit, and says to come back after the window', async () => {
    const it = limiter()
    expect(await it.consume('ada', 4)).toMatchObject({ allowed: false, retryAfterMs: 60_000 })
    expect((await it.consume('ada', 3)).allowed).toBe(true)
  })

  it('allows exactly the limit of 200 parallel calls from two managers', async () => {
    const name = aNewName()
    const limiters = await Promise.all(
      [world.redis, await world.connect()].map(async (redis) =>
        createRateLimiter({ redis, name, limit: 50, window: '1m' }),
      ),
    )
    const decisions = await Promise.all(
      Array.from({ length: 200 }, (_, i) => limiters[i % 2]?.consume('ada') as Promise<{ allowed: boolean }>),
    )
    expect(decisions.filter(({ allowed }) => allowed)).toHaveLength(50)
  })

  it.each([0.5, -1, Number.NaN, Number.POSITIVE_INFINITY, '2' as unknown as number])(
    'rejects %p as a cost',
    async (cost) => {
      await expect(limiter().consume('ada', cost)).rejects.toMatchObject({ code: 'ERR_HOLDFAST_RATE_LIMIT_VALUE' })
    },
  )

  it.each([undefined, null, '', {}, [], true, Number.NaN, { user: '' }, { address: 'nowhere' }, { key: {} }])(
    'rejects %p as a key: nobody shares a bucket by accident',
    async (key) => {
      await expect(limiter().consume(key as string)).rejects.toMatchObject({ code: 'ERR_HOLDFAST_RATE_LIMIT_KEY' })
    },
  )

  it('never rejects because of Redis', async () => {
    const redis = createRedisManager({ url: 'redis://127.0.0.1:1', logger: false })
    const away = (onUnavailable: 'allow' | 'memory' | 'deny') =>
      createRateLimiter({ redis, limit: 1, window: '1m', onUnavailable })
    expect(await away('allow').consume('a')).toMatchObject({ allowed: true, degraded: true, source: 'none' })
    expect(await away('deny').consume('a')).toMatchObject({ allowed: false, degraded: true, retryAfterMs: 1000 })
    const memory = away('memory')
    expect(await memory.consume('a')).toMatchObject({ allowed: true, degraded: true, source: 'memory' })
    expect(await memory.consume('a')).toMatchObject({ allowed: false, degraded: true, source: 'memory' })
    await redis.close()
  })
})

describe('check', () => {
  it('takes one point of a limit given on the spot', async () => {
    const it = limiter()
    const before = Date.now()
    const first = await it.check('ada', 2, '10s')
    expect(first).toEqual({ allowed: true, limit: 2, remaining: 1, resetAt: expect.any(Date) })
    expect(first.resetAt.getTime() - before).toBeGreaterThan(9_000)
    await it.check('ada', 2, '10s')
    const third = await it.check('ada', 2, '10s')
    expect(third).toMatchObject({ allowed: false, remaining: 0 })
    expect(third.resetAt.getTime() - before).toBeLessThanOrEqual(11_000)
    expect(await it.check('ada', 4, '10s')).toMatchObject({ allowed: true, remaining: 1 })
    expect(await it.check('ada', 2, '1h')).toMatchObject({ allowed: true, remaining: 1 })
    expect(await it.check('ada')).toMatchObject({ allowed: true, limit: 3, remaining: 2 })
  })

  it.each([
    [0, '1m'],
    [1.5, '1m'],
    [1, '0s'],
    [1, 2 ** 31],
  ] as const)('rejects a limit of %p in %p', async (limit, window) => {
    await expect(limiter().check('ada', limit, window)).rejects.toMatchObject({ code: 'ERR_HOLDFAST_RATE_LIMIT_VALUE' })
  })
})

describe('operations', () => {
  it('peek tells without counting', async () => {
    const it = limiter()
    expect(await it.peek('ada')).toMatchObject({ allowed: true, tightest: { used: 0, remaining: 3 } })
    await it.consume('ada')
    for (let i = 0; i < 5; i++) expect(await it.peek('ada')).toMatchObject({ allowed: true, tightest: { used: 1 } })
    await it.consume('ada', 2)
    expect(await it.peek('ada')).toMatchObject({ allowed: false, tightest: { remaining: 0 } })
  })

  it('block refuses for its time, and reset lifts it', async () => {
    const it = limiter()
    await it.block('ada', '10m')
    const refused = await it.consume('ada')
    expect(refused).toMatchObject({ allowed: false, blocked: true })
    expect(refused.retryAfterMs).toBeGreaterThan(590_000)
    expect(await it.reset('ada')).toBe(true)
    expect((await it.consume('ada')).allowed).toBe(true)
    expect(await it.reset('nobody')).toBe(false)
    await expect(it.block('ada', 0)).rejects.toMatchObject({ code: 'ERR_HOLDFAST_CONFIG' })
  })

  it('reward gives points back, at most what was used', async () => {
    const it = limiter()
    await it.consume('ada', 3)
    expect((await it.consume('ada')).allowed).toBe(false)
    await it.reward('ada', 2)
    expect(await it.consume('ada', 2)).toMatchObject({ allowed: true, tightest: { remaining: 0 } })
    await it.reward('ada', 100)
    expect(await it.peek('ada')).toMatchObject({ tightest: { used: 0 } })
  })

  it('reach the callers of a middleware of the same name', async () => {
    const name = aNewName()
    const middleware = rateLimit({ redis: world.redis, name, limit: 3, window: '1m' })
    const it = limiter({ name })
    await it.consume({ user: 'ada' })
    expect(await middleware.peek({ user: 'ada' })).toMatchObject({ tightest: { used: 1 } })
    await it.consume({ address: '2001:db8::1' })
    expect(await middleware.peek({ address: '2001:db8::2' })).toMatchObject({ tightest: { used: 1 } })
  })

  it('reject while Redis is away: an operator must know', async () => {
    const redis = createRedisManager({ url: 'redis://127.0.0.1:1', logger: false })
    const it = limiter({ redis })
    for (const operation of [it.peek('a'), it.reset('a'), it.block('a', '1m'), it.reward('a')]) {
      await expect(operation).rejects.toMatchObject({ code: 'ERR_HOLDFAST_REDIS_UNAVAILABLE' })
    }
    await redis.close()
  })
})

describe('refused callers', () => {
  it('cost no round trip', async () => {
    const it = limiter({ limit: 1 })
    await it.consume('ada')
    await it.consume('ada')
    const before = await scripts()
    for (let i = 0; i < 50; i++) expect(await it.consume('ada')).toMatchObject({ allowed: false, source: 'local' })
    expect(await scripts()).toBe(before)
  })

  it('are asked about again with a smaller cost or another limit', async () => {
    const it = limiter({ limit: 5 })
    await it.consume('ada', 4)
    expect(await it.consume('ada', 3)).toMatchObject({ allowed: false, source: 'redis' })
    expect(await it.consume('ada', 4)).toMatchObject({ allowed: false, source: 'local' })
    expect(await it.consume('ada', 1)).toMatchObject({ allowed: true, source: 'redis' })
    await it.check('eve', 1, '1m')
    expect(await it.check('eve', 1, '1m')).toMatchObject({ allowed: false })
    expect(await it.check('eve', 2, '1m')).toMatchObject({ allowed: true })
  })

  it('are served again as soon as the window lets them', async () => {
    const it = limiter({ limit: 1, window: 300 })
    await it.consume('ada')
    const { retryAfterMs } = await it.consume('ada')
    expect(retryAfterMs).toBeLessThanOrEqual(301)
    await eventually(async () => (await it.consume('ada')).allowed, { within: 1000, every: 5 })
  })

  it.each([
    ['reset', (it: ReturnType<typeof limiter>) => it.reset('ada')],
    ['reward', (it: ReturnType<typeof limiter>) => it.reward('ada')],
  ] as const)('are forgotten by every process after %s in one', async (_name, forgive) => {
    const name = aNewName()
    const others: RedisManager[] = [await world.connect(), await world.connect()]
    const [here, ...there] = [world.redis, ...others].map((redis) => limiter({ redis, name, limit: 2 }))
    if (here === undefined) throw new Error('no limiter')
    await here.consume('ada', 2)
    for (const it of there) expect(await it.consume('ada')).toMatchObject({ allowed: false, source: 'redis' })
    // The first refusal starts listening; until Redis confirms, a message may be missed.
    for (const redis of others) {
      const channel = redis.subscriber.subscribe(redis.keys.key('rate', name, 'resets'), () => {})
      expect(await channel.ready()).toBe(true)
    }
    for (const it of there) expect(await it.consume('ada')).toMatchObject({ allowed: false, source: 'local' })
    await forgive(here)
    await eventually(async () => (await there[0]?.peek('ada'))?.allowed === true)
    await eventually(async () => (await there[1]?.consume('ada'))?.allowed === true, { within: 1000 })
  })

  it('are remembered up to the given number', async () => {
    const it = limiter({ limit: 1, remembered: 10 })
    for (let i = 0; i < 30; i++) {
      await it.consume(i)
      await it.consume(i)
    }
    expect(await it.consume(29)).toMatchObject({ source: 'local' })
    expect(await it.consume(0)).toMatchObject({ allowed: false, source: 'redis' })
    const none = limiter({ limit: 1, remembered: 0 })
    await none.consume('a')
    await none.consume('a')
    expect(await none.consume('a')).toMatchObject({ allowed: false, source: 'redis' })
  })
})

it('goes on after SCRIPT FLUSH, and runs no script twice', async () => {
  const it = limiter({ limit: 100 })
  await it.consume('ada')
  await world.client().script('FLUSH')
  expect(await it.consume('ada')).toMatchObject({ source: 'redis', tightest: { used: 2 } })
})
