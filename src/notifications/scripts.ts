import { defineScript, type Script } from '../redis/index.js'

/** `last`: the newest id ever given out; the hash outlives the stream, so that expiry is not mistaken for loss. */
const LAST = `
local function newest(log, state)
  local last = redis.call('HGET', state, 'last')
  if last then return last end
  local entry = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
  return entry and entry[1] or ''
end
local function unread(state)
  local counts = redis.call('HMGET', state, 'count', 'read')
  return math.max((tonumber(counts[1]) or 0) - (tonumber(counts[2]) or 0), 0)
end`

/**
 * Stores and announces in one step, so that the order of the two is one.
 * KEYS: log, state, optionally the marker of an idempotency key.
 * ARGV: entries kept, TTL of the log, of the state and of the marker in ms, channel, type, data. Replies with the id and
 * 1, or 0 where the key was known.
 */
export const append: Script<[id: string, stored: number]> = defineScript({
  name: 'notifications-append',
  lua: `${LAST}
if KEYS[3] then
  local known = redis.call('GET', KEYS[3])
  if known then return {known, 0} end
end
local prev = newest(KEYS[1], KEYS[2])
local id = redis.call('XADD', KEYS[1], 'MAXLEN', '=', ARGV[1], '*', 'p', prev, 't', ARGV[6], 'd', ARGV[7])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('HSET', KEYS[2], 'last', id)
redis.call('HINCRBY', KEYS[2], 'count', 1)
redis.call('PEXPIRE', KEYS[2], ARGV[3])
if KEYS[3] then redis.call('SET', KEYS[3], id, 'PX', ARGV[4]) end
redis.call('PUBLISH', ARGV[5], 'n ' .. id .. ' ' .. prev .. ' ' .. ARGV[6] .. ' ' .. ARGV[7])
return {id, 1}`,
})

export type RawEntry = [id: string, fields: string[]]

/**
 * KEYS: log, state. ARGV: id to read on from, or '' for the most recent, which come oldest first; how many.
 * Replies with the newest id, the entries, the unread count.
 */
export const read: Script<[last: string, entries: RawEntry[], unread: number]> = defineScript({
  name: 'notifications-read',
  lua: `${LAST}
local entries, count = {}, tonumber(ARGV[2])
if ARGV[1] ~= '' then
  entries = redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], '+', 'COUNT', count)
elseif count > 0 then
  local recent = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', count)
  for i = #recent, 1, -1 do entries[#entries + 1] = recent[i] end
end
return {newest(KEYS[1], KEYS[2]), entries, unread(KEYS[2])}`,
})

/** KEYS: log, state. ARGV: id before which to read backwards, or ''; how many. Replies newest first, and the unread count. */
export const readBack: Script<[entries: RawEntry[], unread: number]> = defineScript({
  name: 'notifications-read-back',
  lua: `${LAST}
local from = ARGV[1] == '' and '+' or '(' .. ARGV[1]
return {redis.call('XREVRANGE', KEYS[1], from, '-', 'COUNT', ARGV[2]), unread(KEYS[2])}`,
})

/**
 * KEYS: log, state. ARGV: newest id that was read, or '' for all; channel. Never takes back. Replies with the unread
 * count, and announces it where it changed.
 */
export const markRead: Script<number> = defineScript({
  name: 'notifications-mark-read',
  lua: `${LAST}
local before = unread(KEYS[2])
local after = 0
if ARGV[1] ~= '' then after = #redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], '+') end
if after >= before then return before end
redis.call('HSET', KEYS[2], 'read', tonumber(redis.call('HGET', KEYS[2], 'count')) - after)
redis.call('PUBLISH', ARGV[2], 'r ' .. after)
return after`,
})
