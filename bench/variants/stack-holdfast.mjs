import { createRedisManager, rateLimit, responseCache } from 'holdfast'
import { redisSession } from 'holdfast/session'

/** Limiter, session and response cache on one manager, with their defaults. */
export async function stackOf(url, { local = false } = {}) {
  // Under full load on a shared core a reply may be late without Redis being away.
  const redis = createRedisManager({ url, commandTimeout: process.env.COMMAND_TIMEOUT ?? '2s' })
  await redis.ready()
  return {
    limit: rateLimit({ redis, limit: 100_000_000, window: '1m' }),
    session: redisSession({ redis, secret: 'a secret for the benchmark' }),
    cache: responseCache({ redis, ttl: '1h', tags: ['products'], local }),
  }
}
