import { defineScript } from '../redis/index.js'

export const TOKEN_LENGTH = 16

/*
 * An entry and its lease lie in one slot. A computation holds the lease of its key: a result is stored only while the
 * lease is still its own, so whatever removes the lease (a deletion, a newer write) also outdates every computation
 * that runs. A lease someone waits for ends in `w`; its end is then published.
 *
 * In all of them KEYS[1] is the entry, KEYS[2] the lease; where a channel is given, its last two arguments are the
 * channel and `1` to publish always or `0` to publish only to those who wait. What is done stays done where the user may
 * not publish: waiters wait for their deadline, and copies that follow pub/sub live for their longest age.
 */

const PUBLISH = `
local function tell(lease, channel, always)
  if always == '1' or (lease and #lease > ${TOKEN_LENGTH}) then redis.pcall('PUBLISH', channel, KEYS[1]) end
end`

const HOLDS = `
local lease = redis.call('GET', KEYS[2])
local holds = lease and string.sub(lease, 1, ${TOKEN_LENGTH}) == ARGV[1]`

/** ARGV token, ms, the entry's creation as seen (8 bytes or ''), `1` to take it from its holder. Replies 1 taken, 2 the entry has changed, else it is another's for so many ms, as a negative number. */
export const acquireScript: ReturnType<typeof defineScript<number>> = defineScript<number>({
  name: 'cache.acquire',
  lua: `
if ARGV[4] ~= '1' then
  if redis.call('GETRANGE', KEYS[1], 4, 11) ~= ARGV[3] then return 2 end
  local lease = redis.call('GET', KEYS[2])
  if lease then
    if #lease == ${TOKEN_LENGTH} then redis.call('SET', KEYS[2], lease .. 'w', 'KEEPTTL') end
    return -math.max(redis.call('PTTL', KEYS[2]), 0)
  end
end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return 1`,
})

/** ARGV token, frame, ms, channel, always. Replies 1 where the lease was held and the entry stored. */
export const fillScript: ReturnType<typeof defineScript<number>> = defineScript<number>({
  name: 'cache.fill',
  lua: `${PUBLISH}${HOLDS}
if not holds then return 0 end
redis.call('DEL', KEYS[2])
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
tell(lease, ARGV[4], ARGV[5])
return 1`,
})

/** ARGV token, channel. The holder gives up. */
export const releaseScript: ReturnType<typeof defineScript<number>> = defineScript<number>({
  name: 'cache.release',
  lua: `${PUBLISH}${HOLDS}
if not holds then return 0 end
redis.call('DEL', KEYS[2])
tell(lease, ARGV[2], '0')
return 1`,
})

/** ARGV token, ms. The holder is still at work. */
export const renewScript: ReturnType<typeof defineScript<number>> = defineScript<number>({
  name: 'cache.renew',
  lua: `${HOLDS}
if not holds then return 0 end
return redis.call('PEXPIRE', KEYS[2], ARGV[2])`,
})

/** ARGV frame, ms, channel, always. Stores, whoever computes. */
export const putScript: ReturnType<typeof defineScript<number>> = defineScript<number>({
  name: 'cache.put',
  lua: `${PUBLISH}
local lease = redis.call('GET', KEYS[2])
if lease then redis.call('DEL', KEYS[2]) end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
tell(lease, ARGV[3], ARGV[4])
return 1`,
})

/** ARGV channel, always. Removes entry and lease; replies with whether there was an entry. */
export const removeScript: ReturnType<typeof defineScript<number>> = defineScript<number>({
  name: 'cache.remove',
  lua: `${PUBLISH}
local lease = redis.call('GET', KEYS[2])
if lease then redis.call('DEL', KEYS[2]) end
local removed = redis.call('UNLINK', KEYS[1])
tell(lease, ARGV[1], ARGV[2])
return removed`,
})

/** KEYS[1] any key; ARGV channel. Removes it and publishes. */
export const unlinkScript: ReturnType<typeof defineScript<number>> = defineScript<number>({
  name: 'cache.unlink',
  lua: `
local removed = redis.call('UNLINK', KEYS[1])
redis.pcall('PUBLISH', ARGV[1], KEYS[1])
return removed`,
})

/**
 * ARGV head and metadata as seen, the same as they are to be, bytes to put behind the body, channel, always. Replies 1
 * where it was that entry; what it depends on is looked at by whoever reads it.
 */
export const appendScript: ReturnType<typeof defineScript<number>> = defineScript<number>({
  name: 'cache.append',
  lua: `${PUBLISH}
local sub = string.sub
local head = redis.call('GETRANGE', KEYS[1], 0, 39)
if sub(head, 1, 28) ~= sub(ARGV[1], 1, 28) or sub(head, 33) ~= sub(ARGV[1], 33, 40) then return 0 end
local frame = redis.call('GET', KEYS[1])
local a, b, c, d = string.byte(head, 29, 32)
local start = 40 + ((a * 256 + b) * 256 + c) * 256 + d
local body = start + #ARGV[1] - 40
if sub(frame, start + 1, body) ~= sub(ARGV[1], 41) then return 0 end
frame = sub(frame, 1, 32) .. sub(ARGV[2], 33, 40) .. sub(frame, 41, start) .. sub(ARGV[2], 41) .. sub(frame, body + 1) .. ARGV[3]
redis.call('SET', KEYS[1], frame, 'KEEPTTL')
tell(false, ARGV[4], ARGV[5])
return 1`,
})

/** ARGV creation as seen, both ends of its life (8 bytes each, as one), ms, channel, always. Replies 1 where it was that entry. */
export const touchScript: ReturnType<typeof defineScript<number>> = defineScript<number>({
  name: 'cache.touch',
  lua: `${PUBLISH}
if redis.call('GETRANGE', KEYS[1], 4, 11) ~= ARGV[1] then return 0 end
redis.call('SETRANGE', KEYS[1], 12, ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
tell(false, ARGV[4], ARGV[5])
return 1`,
})
