import { defineScript, type Script } from '../redis/index.js'
import { DEATH, PROLOGUE } from './scripts.js'

// KEYS generation, index, record of a session to keep (or none). ARGV life of the counter in ms, hash to keep or ''.
// Sessions of the generations before are revoked by the counter alone, also one that is being written just now.
// Replies the hashes of those that were listed.
export const revokeAll: Script<string[]> = defineScript({
  name: 'session.revoke-all',
  lua: `${PROLOGUE}${DEATH}
local keep = KEYS[3] and not death(redis.pcall('HMGET', KEYS[3], 'v', 'g', 'x'), KEYS[1])
local generation = redis.call('INCR', KEYS[1])
redis.call('PEXPIRE', KEYS[1], text(math.max(redis.call('PTTL', KEYS[1]), tonumber(ARGV[1]))))
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', text(now))
local listed = redis.call('ZRANGE', KEYS[2], 0, -1)
local gone = {}
for _, hash in ipairs(listed) do
  if not (keep and hash == ARGV[2]) then
    gone[#gone + 1] = hash
    redis.call('ZREM', KEYS[2], hash)
  end
end
if keep then redis.call('HSET', KEYS[3], 'g', generation) end
return gone`,
})

// KEYS record, generation. ARGV what, field, value. take: replies the value and removes it. setOnce: replies 1 where it
// was not set. increment: replies the sum. Replies dead where the session is.
export const field: Script<readonly [status: Buffer, value?: Buffer | number]> = defineScript({
  name: 'session.field',
  binary: true,
  lua: `${PROLOGUE}${DEATH}
if death(redis.pcall('HMGET', KEYS[1], 'v', 'g', 'x'), KEYS[2]) then return {'dead'} end
if ARGV[1] == 'take' then
  local value = redis.call('HGET', KEYS[1], ARGV[2])
  if value then redis.call('HDEL', KEYS[1], ARGV[2]) end
  return {'done', value or ''}
elseif ARGV[1] == 'setOnce' then
  return {'done', redis.call('HSETNX', KEYS[1], ARGV[2], ARGV[3])}
end
return {'done', redis.call('HINCRBY', KEYS[1], ARGV[2], ARGV[3])}`,
})

// KEYS record, generation, index. ARGV hash, hash of the token shown, hash of its successor, the successor sealed for
// the holder of the token, grace in ms. A token shown again within the grace gets the same successor: two tabs are no
// theft. Later it is one, and the session, which is the whole family, ends (RFC 9700 §4.14.2).
export const refresh: Script<readonly [status: Buffer, successorOrFacts?: Buffer]> = defineScript({
  name: 'session.refresh',
  binary: true,
  lua: `${PROLOGUE}${DEATH}
local s = redis.pcall('HMGET', KEYS[1], 'v', 'g', 'x', 'th', 'tp', 'ts', 'tt', 'tc', 'm')
local dead = death(s, KEYS[2])
if dead then return {dead} end
local short = string.sub(ARGV[2], 1, 16)
local consumed = s[8] or ''
if s[4] == ARGV[2] then
  redis.call('HSET', KEYS[1], 'th', ARGV[3], 'tp', ARGV[2], 'ts', ARGV[4], 'tt', text(now),
    'tc', string.sub(consumed .. short, -4096))
  return {'rotated'}
end
if s[5] == ARGV[2] and now - tonumber(s[7]) <= tonumber(ARGV[5]) then return {'again', s[6]} end
for i = 1, #consumed, 16 do
  if string.sub(consumed, i, i + 15) == short then
    redis.call('DEL', KEYS[1])
    redis.call('ZREM', KEYS[3], ARGV[1])
    return {'reuse', s[9] or ''}
  end
end
return {'unknown'}`,
})
