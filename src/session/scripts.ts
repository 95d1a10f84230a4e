import { defineScript, type Script } from '../redis/index.js'

/*
 * A record is a HASH. Sealed: d data, m facts about the session. In clear, since scripts need them: v version of the
 * data, g generation, c created, x absolute end, i idle time, l last seen (milliseconds), b 1 where the index lists it.
 * An id that was renewed leaves a HASH with nothing but a: its successor, sealed.
 */
const PROLOGUE = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function text(number) return string.format('%.0f', number) end
local function expiry(idle, deadline) return math.max(math.min(idle, deadline - now), 1) end
`

/** Why the record and the generation say that a session is dead, or false. Fields: 1 v, 2 g, 3 x. */
const DEATH = `
local function death(record, generation)
  if record.err then return 'foreign' end
  if not record[1] then return 'missing' end
  if not tonumber(record[1]) or not tonumber(record[2]) or not tonumber(record[3]) then return 'foreign' end
  if tonumber(record[2]) < (tonumber(redis.call('GET', generation)) or 0) then return 'revoked' end
  if tonumber(record[3]) <= now then return 'expired' end
  return false
end
`

export type ReadReply =
  | readonly [status: Buffer]
  | readonly [status: Buffer, successor: Buffer]
  | readonly [
      status: Buffer,
      version: Buffer,
      data: Buffer,
      meta: Buffer,
      created: Buffer,
      deadline: Buffer,
      idle: Buffer,
      seen: Buffer,
      now: Buffer,
      touched: Buffer,
    ]

// KEYS record, generation, index. ARGV hash, ms after which to touch or -1 for never.
// A read must succeed where writes are refused (OOM, replica): hence every write in it is a pcall.
export const read: Script<ReadReply> = defineScript({
  name: 'session.read',
  binary: true,
  lua: `${PROLOGUE}${DEATH}
local s = redis.pcall('HMGET', KEYS[1], 'v', 'g', 'x', 'd', 'm', 'c', 'i', 'l', 'a', 'b')
if not s.err and s[9] then return {'alias', s[9]} end
local dead = death(s, KEYS[2])
if dead then return {dead} end
local idle, seen, deadline = tonumber(s[7]) or 0, tonumber(s[8]) or 0, tonumber(s[3])
local after = tonumber(ARGV[2])
local touched = '0'
if after >= 0 and now - seen >= after then
  local ttl = expiry(idle, deadline)
  if type(redis.pcall('HSET', KEYS[1], 'l', text(now))) == 'number' then touched = '1' end
  redis.pcall('PEXPIRE', KEYS[1], text(ttl))
  if s[10] == '1' then redis.pcall('ZADD', KEYS[3], 'XX', text(now + ttl), ARGV[1]) end
end
return {'found', s[1], s[4] or '', s[5] or '', s[6] or '0', s[3], text(idle), text(seen), text(now), touched}`,
})

export type WriteReply = readonly [status: Buffer] | readonly [status: Buffer, version: Buffer, data: Buffer]

// KEYS record, generation, index. ARGV hash, version the data was read at, data, idle.
// No record, no write: what a logout, a revocation or the end of its time removed stays removed.
export const update: Script<WriteReply> = defineScript({
  name: 'session.update',
  binary: true,
  lua: `${PROLOGUE}${DEATH}
local s = redis.pcall('HMGET', KEYS[1], 'v', 'g', 'x', 'd', 'b')
local dead = death(s, KEYS[2])
if dead then return {dead} end
if s[1] ~= ARGV[2] then return {'conflict', s[1], s[4] or ''} end
local ttl = expiry(tonumber(ARGV[4]), tonumber(s[3]))
redis.call('HSET', KEYS[1], 'd', ARGV[3], 'v', text(s[1] + 1), 'i', ARGV[4], 'l', text(now))
redis.call('PEXPIRE', KEYS[1], text(ttl))
if s[5] == '1' then redis.call('ZADD', KEYS[3], 'XX', text(now + ttl), ARGV[1]) end
return {'saved'}`,
})

export type CreateReply = readonly [status: string] | readonly [status: string, ...victims: string[]]

// KEYS record, generation, index. ARGV hash, data, meta, idle, absolute, listed 0|1, replace 0|1.
export const create: Script<CreateReply> = defineScript({
  name: 'session.create',
  lua: `${PROLOGUE}
if ARGV[7] == '1' then redis.call('DEL', KEYS[1])
elseif redis.call('EXISTS', KEYS[1]) == 1 then return {'exists'} end
local deadline = now + tonumber(ARGV[5])
local ttl = expiry(tonumber(ARGV[4]), deadline)
local generation = redis.call('GET', KEYS[2])
if generation then
  redis.call('PEXPIRE', KEYS[2], text(math.max(redis.call('PTTL', KEYS[2]), deadline - now + 86400000)))
end
redis.call('HSET', KEYS[1], 'v', '1', 'd', ARGV[2], 'm', ARGV[3], 'g', generation or '0', 'c', text(now),
  'x', text(deadline), 'i', ARGV[4], 'l', text(now), 'b', ARGV[6])
redis.call('PEXPIRE', KEYS[1], text(ttl))
if ARGV[6] == '1' then
  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', text(now))
  redis.call('ZADD', KEYS[3], text(now + ttl), ARGV[1])
  redis.call('PEXPIRE', KEYS[3], text(math.max(redis.call('PTTL', KEYS[3]), deadline - now)))
end
return {'created'}`,
})

// KEYS record, index. ARGV hash, idle. Replies 1 where the session was there.
export const touch: Script<number> = defineScript({
  name: 'session.touch',
  lua: `${PROLOGUE}
local deadline = tonumber(redis.call('HGET', KEYS[1], 'x') or '')
if not deadline then return 0 end
local ttl = expiry(tonumber(ARGV[2]), deadline)
redis.call('HSET', KEYS[1], 'l', text(now), 'i', ARGV[2])
redis.call('PEXPIRE', KEYS[1], text(ttl))
redis.call('ZADD', KEYS[2], 'XX', text(now + ttl), ARGV[1])
return 1`,
})

// KEYS record, index. ARGV hash. Replies whether it was there, and the successor of a renewed id.
export const remove: Script<readonly [removed: Buffer, successor: Buffer]> = defineScript({
  name: 'session.remove',
  binary: true,
  lua: `
local s = redis.pcall('HGET', KEYS[1], 'a')
local successor = type(s) == 'string' and s or ''
redis.call('ZREM', KEYS[2], ARGV[1])
return {tostring(redis.call('DEL', KEYS[1])), successor}`,
})
