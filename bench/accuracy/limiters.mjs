import { createHash } from 'node:crypto'
import { createRateLimiter } from 'holdfast'
import { RedisStore } from 'rate-limit-redis'
import { RateLimiterRedis } from 'rate-limiter-flexible'

/** The counter of two fixed buckets, the older one weighted by what is left of it in the window. */
const TWO_BUCKETS = `
local T = redis.call('TIME')
local now = T[1] * 1000 + math.floor(T[2] / 1000)
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local id = math.floor(now / window)
local counts = redis.call('HMGET', KEYS[1], id - 1, id)
local before, current = tonumber(counts[1] or 0), tonumber(counts[2] or 0)
if before * (1 - (now % window) / window) + current + 1 > limit then return 0 end
redis.call('HINCRBY', KEYS[1], id, 1)
redis.call('HDEL', KEYS[1], id - 2)
redis.call('PEXPIRE', KEYS[1], 2 * window)
return 1`

const holdfast =
  (algorithm) =>
  ({ redis, limit, windowMs }) => {
    const limiter = createRateLimiter({ redis, name: algorithm, limit, window: windowMs, algorithm, remembered: 0 })
    return async (key) => (await limiter.consume(key)).allowed
  }

/** By name: what makes a function that says whether a key may pass. */
export const limiters = {
  'holdfast sliding (default)': holdfast('sliding'),
  'express-rate-limit + rate-limit-redis'({ client, windowMs, limit }) {
    const store = new RedisStore({ sendCommand: (...args) => client.call(...args), prefix: 'erl:' })
    void store.init({ windowMs })
    return async (key) => (await store.increment(key)).totalHits <= limit
  },
  'rate-limiter-flexible RateLimiterRedis'({ client, windowMs, limit }) {
    const limiter = new RateLimiterRedis({ storeClient: client, points: limit, duration: windowMs / 1000 })
    return (key) =>
      limiter.consume(key).then(
        () => true,
        () => false,
      )
  },
  'two weighted buckets'({ client, windowMs, limit }) {
    const sha = createHash('sha1').update(TWO_BUCKETS).digest('hex')
    const loaded = client.script('LOAD', TWO_BUCKETS)
    return async (key) => {
      await loaded
      return (await client.evalsha(sha, 1, `two:${key}`, limit, windowMs)) === 1
    }
  },
  'holdfast gcra': holdfast('gcra'),
  'holdfast fixed': holdfast('fixed'),
}
