import { defineScript, type Script } from '../redis/index.js'

/*
 * A record is a HASH. Sealed: d data, m facts about the session, f:<name> fields. In clear, since scripts need them:
 * v version of the data, g generation, c begun, r id made, x absolute end, i idle time, l last seen (milliseconds),
 * b 1 where the index lists it; th tp ts tt tc of refresh tokens (user-scripts.ts).
 * An id that was renewed leaves a HASH with nothing but a: its successor, sealed.
 */
export const PROLOGUE = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function text(number) return string.format('%.0f', number) end
local function expiry(idle, deadline) return math.max(math.min(idle, deadline - now), 1) end
`

/** Why a record (fields 1 v, 2 g, 3 x) is dead, or false. */
export const DEATH = `
local function death(record, generation)
  if record.err then return 'foreign' end
  if not record[1] then return 'missing' end
  if not tonumber(record[1]) or not tonumber(record[2]) or not tonumber(record[3]) then return 'foreign' end
  if tonumber(record[2]) < (tonumber(redis.call('GET', generation)) or 0) then return 'revoked' end
  if tonumber(record[3]) <= now then return 'expired' end
  return false
end
`

/** found, data, facts, and the rest as one text of numbers (see StoredRecord): each reply of its own would be an object. */
export type FoundReply = readonly [status: Sealed, data: Sealed, meta: Sealed, numbers: Sealed]
export type ReadReply = readonly [status: Sealed, successor?: Sealed] | FoundReply
type Sealed = Buffer | string

// KEYS record, generation, index. ARGV hash, ms after which to touch or -1 for never.
// A read must succeed where writes are refused (OOM, replica): hence every write in it is a pcall.
const READ = `${PROLOGUE}${DEATH}
local s = redis.pcall('HMGET', KEYS[1], 'v', 'g', 'x', 'd', 'm', 'c', 'r', 'i', 'l', 'a', 'b')
if not s.err and s[10] then return {'alias', s[10]} end
local dead = death(s, KEYS[2])
if dead then return {dead} end
local idle, seen, deadline = tonumber(s[8]) or 0, tonumber(s[9]) or 0, tonumber(s[3])
local after = tonumber(ARGV[2])
local touched = '0'
if after >= 0 and now - seen >= after then
  local ttl = expiry(idle, deadline)
  if type(redis.pcall('HSET', KEYS[1], 'l', text(now))) == 'number' then touched = '1' end
  redis.pcall('PEXPIRE', KEYS[1], text(ttl))
  if s[11] == '1' then redis.pcall('ZADD', KEYS[3], 'XX', text(now + ttl), ARGV[1]) end
end
return {'found', s[4] or '', s[5] or '', table.concat({s[1], s[6] or 0, s[7] or 0, s[3], text(idle), text(seen), text(now), touched}, ' ')}`

export const read: Script<ReadReply> = defineScript({ name: 'session.read', binary: true, lua: READ })
export const readText: Script<ReadReply> = defineScript({ name: 'session.read', lua: READ })

/** saved, alias and the successor, conflict and what is stored, or why the session is dead. */
export type WriteReply = readonly [status: Buffer, versionOrSuccessor?: Buffer, data?: Buffer]

// KEYS record, generation, index. ARGV hash, version the data was read at, data, idle.
// No record, no write: what a logout, a revocation or the end of its time removed stays removed.
export const update: Script<WriteReply> = defineScript({
  name: 'session.update',
  binary: true,
  lua: `${PROLOGUE}${DEATH}
local s = redis.pcall('HMGET', KEYS[1], 'v', 'g', 'x', 'd', 'b', 'a')
if not s.err and s[6] then return {'alias', s[6]} end
local dead = death(s, KEYS[2])
if dead then return {dead} end
if s[1] ~= ARGV[2] then return {'conflict', s[1], s[4] or ''} end
local ttl = expiry(tonumber(ARGV[4]), tonumber(s[3]))
redis.call('HSET', KEYS[1], 'd', ARGV[3], 'v', text(s[1] + 1), 'i', ARGV[4], 'l', text(now))
redis.call('PEXPIRE', KEYS[1], text(ttl))
if s[5] == '1' then redis.call('ZADD', KEYS[3], 'XX', text(now + ttl), ARGV[1]) end
return {'saved'}`,
})

// KEYS record, generation, index, then records of the user that may have to make room.
// ARGV hash, data, meta, idle, absolute, listed 0|1, replace 0|1, most per user or 0, policy, hash of the refresh token
// or '', then the hashes of KEYS[4..]. Replies created and who had to go, exists, excess, or again and who is listed.
export const create: Script<readonly [status: string, ...hashes: string[]]> = defineScript({
  name: 'session.create',
  lua: `${PROLOGUE}
local exists = redis.call('EXISTS', KEYS[1]) == 1
if exists and ARGV[7] ~= '1' then return {'exists'} end
local most = ARGV[6] == '1' and tonumber(ARGV[8]) or 0
local listed = most > 0 and redis.call('ZRANGEBYSCORE', KEYS[3], '(' .. text(now), '+inf') or {}
local victims, key, age = math.max(#listed - most + 1, 0), {}, {}
if most > 0 and victims > 0 then
  if ARGV[9] == 'reject' then return {'excess'} end
  for i = 4, #KEYS do key[ARGV[i + 7]] = KEYS[i] end
  for place, hash in ipairs(listed) do
    if not key[hash] then return {'again', unpack(listed)} end
    age[hash] = ARGV[9] == 'oldest' and tonumber(redis.call('HGET', key[hash], 'c')) or place
  end
  table.sort(listed, function(a, b) return age[a] < age[b] end)
end
local deadline = now + tonumber(ARGV[5])
local ttl = expiry(tonumber(ARGV[4]), deadline)
local generation = redis.call('GET', KEYS[2])
if exists then redis.call('DEL', KEYS[1]) end
-- First, since Redis refuses a script for want of memory at its first write only.
redis.call('HSET', KEYS[1], 'v', '1', 'd', ARGV[2], 'm', ARGV[3], 'g', generation or '0', 'c', text(now),
  'r', text(now), 'x', text(deadline), 'i', ARGV[4], 'l', text(now), 'b', ARGV[6])
if ARGV[10] ~= '' then redis.call('HSET', KEYS[1], 'th', ARGV[10]) end
redis.call('PEXPIRE', KEYS[1], text(ttl))
if generation then
  redis.call('PEXPIRE', KEYS[2], text(math.max(redis.call('PTTL', KEYS[2]), deadline - now + 86400000)))
end
local reply = {'created'}
for i = 1, most > 0 and victims or 0 do
  redis.call('DEL', key[listed[i]])
  redis.call('ZREM', KEYS[3], listed[i])
  reply[i + 1] = listed[i]
end
if ARGV[6] == '1' then
  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', text(now))
  redis.call('ZADD', KEYS[3], text(now + ttl), ARGV[1])
  redis.call('PEXPIRE', KEYS[3], text(math.max(redis.call('PTTL', KEYS[3]), deadline - now)))
end
return reply`,
})

// KEYS record, generation, index. ARGV hash, idle. Replies the expiry in Unix ms, 0 where the session is dead.
export const touch: Script<number> = defineScript({
  name: 'session.touch',
  lua: `${PROLOGUE}${DEATH}
local s = redis.pcall('HMGET', KEYS[1], 'v', 'g', 'x')
if death(s, KEYS[2]) then return 0 end
local ttl = expiry(tonumber(ARGV[2]), tonumber(s[3]))
redis.call('HSET', KEYS[1], 'l', text(now), 'i', ARGV[2])
redis.call('PEXPIRE', KEYS[1], text(ttl))
redis.call('ZADD', KEYS[3], 'XX', text(now + ttl), ARGV[1])
return now + ttl`,
})

// KEYS record, index. ARGV hash, ms for which nothing may take its place. Replies 1 where it was there, its facts, and
// the successor of a renewed id.
export const remove: Script<readonly [removed: Buffer, meta: Buffer, successor: Buffer]> = defineScript({
  name: 'session.remove',
  binary: true,
  lua: `
local s = redis.pcall('HMGET', KEYS[1], 'v', 'm', 'a')
local removed = '0'
if s.err or s[1] then removed = '1' end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('DEL', KEYS[1])
if ARGV[2] ~= '0' then
  redis.call('HSET', KEYS[1], 'z', '1')
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return {removed, not s.err and s[2] or '', not s.err and s[3] or ''}`,
})

// KEYS old record, new record, generation, index. ARGV old hash, new hash, version, data, meta, successor, grace in ms.
// The absolute end and the fields stay as they were.
export const rotate: Script<WriteReply> = defineScript({
  name: 'session.rotate',
  binary: true,
  lua: `${PROLOGUE}${DEATH}
local s = redis.pcall('HMGET', KEYS[1], 'v', 'g', 'x', 'd', 'i', 'b')
local dead = death(s, KEYS[3])
if dead then return {dead} end
if s[1] ~= ARGV[3] then return {'conflict', s[1], s[4] or ''} end
local ttl = expiry(tonumber(s[5]), tonumber(s[3]))
redis.call('RENAME', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[2], 'd', ARGV[4], 'm', ARGV[5], 'r', text(now), 'l', text(now))
redis.call('PEXPIRE', KEYS[2], text(ttl))
if s[6] == '1' then
  redis.call('ZREM', KEYS[4], ARGV[1])
  redis.call('ZADD', KEYS[4], text(now + ttl), ARGV[2])
end
if ARGV[7] ~= '0' then
  redis.call('HSET', KEYS[1], 'a', ARGV[6])
  redis.call('PEXPIRE', KEYS[1], ARGV[7])
end
return {'saved'}`,
})

// KEYS record. ARGV field, value before, value after, again and again. Changes only what is still as it was.
export const reseal: Script<number> = defineScript({
  name: 'session.reseal',
  lua: `
local changed = 0
for i = 1, #ARGV, 3 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2])
    changed = changed + 1
  end
end
return changed`,
})
