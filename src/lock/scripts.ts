import { defineScript, type Script } from '../redis/index.js'

/**
 * A lock is a sorted set of its holders' tokens, scored by when each expires (ms, Redis' clock). An exclusive lock is
 * one for a single holder.
 */
const CLOCK = `
local time = redis.call('TIME')
local us = time[1] * 1000000 + time[2]
local now = math.floor(us / 1000)
`

const OUTLIVE_LAST_HOLDER = `
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
redis.call('PEXPIREAT', KEYS[1], last[2])
`

/**
 * KEYS holders, last fence. ARGV token, ttl (ms), most holders. Replies with the fence, or nothing and the ms until the
 * first holder expires.
 *
 * The fence is the time in µs, or one more than the last where the clock stands or was set back. So it grows even where
 * its key is lost with a failover or an empty restart; a plain counter would give its numbers out a second time.
 */
export const acquireScript: Script<[fence: string | null, freeInMs: number]> = defineScript({
  name: 'lock.acquire',
  lua: `${CLOCK}
local holders, most = redis.call('ZCARD', KEYS[1]), tonumber(ARGV[3])
if holders >= most then
  holders = holders - redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
  if holders >= most then
    local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
    return { false, math.ceil(first[2] - now) }
  end
end
local fence = us
local before = redis.call('GET', KEYS[2])
if before then
  local number = string.match(before, '^%d+$') and tonumber(before)
  if not number or number >= 9007199254740991 then return redis.error_reply('BADFENCE not a fence') end
  fence = math.max(us, number + 1)
end
fence = string.format('%.0f', fence)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
if holders == 0 then
  redis.call('PEXPIREAT', KEYS[1], now + ARGV[2])
else
  ${OUTLIVE_LAST_HOLDER}
end
redis.call('SET', KEYS[2], fence)
return { fence, 0 }`,
})

/**
 * KEYS holders. ARGV token, ttl (ms). Never shortens: a holder whose earlier extension went unanswered must not be left
 * with less time than it believes to have. Replies with 0 where the token does not hold any more.
 */
export const extendScript: Script<number> = defineScript({
  name: 'lock.extend',
  lua: `${CLOCK}
local ends = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not ends or tonumber(ends) <= now then return 0 end
redis.call('ZADD', KEYS[1], 'GT', now + ARGV[2], ARGV[1])
${OUTLIVE_LAST_HOLDER}
return 1`,
})

/** KEYS holders. ARGV token. Replies with 0 where the token did not hold any more. */
export const releaseScript: Script<number> = defineScript({
  name: 'lock.release',
  lua: `${CLOCK}
local ends = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not ends then return 0 end
redis.call('ZREM', KEYS[1], ARGV[1])
return tonumber(ends) > now and 1 or 0`,
})
