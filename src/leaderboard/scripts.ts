import { defineScript, type Script } from '../redis/index.js'

/**
 * KEYS board, stamps. The board is a sorted set, the best first: scores are stored negated where the highest is best.
 * Where the first to reach a score comes first (ARGV[1] is '1'), an element is a stamp of 16 digits and the member, and
 * the hash has the stamp of every member; its empty field counts the stamps. So order does not hang on clocks, and
 * scores keep all their digits, which a time hidden in a fraction of the score would cost.
 *
 * Should Redis evict the hash alone, it is made again from the board: without it members would be there twice.
 *
 * Commands of Redis 6.2 only: ZRANK … WITHSCORE came with 7.2.
 */
const BOARD = `
local board, stamps, stamped = KEYS[1], KEYS[2], ARGV[1] == '1'
if stamped and redis.call('EXISTS', stamps) == 0 then
  local last, members = '0', redis.call('ZCARD', board)
  for from = 0, members - 1, 1000 do
    for _, element in ipairs(redis.call('ZRANGE', board, from, from + 999)) do
      local stamp = string.sub(element, 1, 16)
      redis.call('HSET', stamps, string.sub(element, 17), stamp)
      if stamp > last then last = stamp end
    end
  end
  if members > 0 then
    redis.call('HSET', stamps, '', string.format('%.0f', tonumber(last) or 0))
    local left = redis.call('PTTL', board)
    if left > 0 then redis.call('PEXPIRE', stamps, left) end
  end
end
local function element_of(member)
  if not stamped then return member end
  local stamp = redis.call('HGET', stamps, member)
  return stamp and stamp .. member
end
local function rank_of(score)
  return redis.call('ZCOUNT', board, '-inf', '(' .. score) + 1
end
local function standing(member)
  local element = element_of(member)
  local index = element and redis.call('ZRANK', board, element)
  if not index then return false end
  local score = redis.call('ZSCORE', board, element)
  return { score, rank_of(score), index + 1, redis.call('ZCARD', board) }
end
local function slice(from, to)
  local flat = redis.call('ZRANGE', board, from, to, 'WITHSCORES')
  return { from, flat[2] and rank_of(flat[2]) or 0, flat }
end
`

/** Score as stored, competition rank, ordinal rank, members in all. */
export type StandingReply = [score: string, rank: number, ordinal: number, total: number]

/** Index of the first, its competition rank, then element and stored score of each. */
export type SliceReply = [from: number, rankOfFirst: number, flat: string[]]

/**
 * ARGV stamped, 'set' | 'add' | 'best', member, stored score or change, most members (0: all), expiry (ms, 0: none).
 * Replies with the standing of the member, nothing where it was trimmed away.
 */
export const writeScript: Script<StandingReply | null> = defineScript({
  name: 'leaderboard.write',
  lua: `${BOARD}
local how, member, given, most, expiry = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local old = element_of(member)
local before = old and redis.call('ZSCORE', board, old)
local target = given
if how == 'best' and before and tonumber(before) <= tonumber(given) then
  target = before
elseif how == 'add' then
  local sum = tonumber(before or 0) + tonumber(given)
  if sum ~= sum or math.abs(sum) == math.huge then return redis.error_reply('OVERFLOW the score is not finite') end
  target = string.format('%.17g', sum)
end
if not before or tonumber(before) ~= tonumber(target) then
  local element = member
  if stamped then
    local stamp = string.format('%016.0f', redis.call('HINCRBY', stamps, '', 1))
    element = stamp .. member
    if old then redis.call('ZREM', board, old) end
    redis.call('HSET', stamps, member, stamp)
  end
  redis.call('ZADD', board, target, element)
end
if most > 0 then
  for _, element in ipairs(redis.call('ZRANGE', board, most, most + 999)) do
    redis.call('ZREM', board, element)
    if stamped then redis.call('HDEL', stamps, string.sub(element, 17)) end
  end
end
if expiry > 0 then
  redis.call('PEXPIRE', board, expiry)
  if stamped then redis.call('PEXPIRE', stamps, expiry) end
end
return standing(member)`,
})

/** ARGV stamped, member, neighbours on each side. */
export const rankScript: Script<[StandingReply, SliceReply] | null> = defineScript({
  name: 'leaderboard.rank',
  lua: `${BOARD}
local found = standing(ARGV[2])
if not found then return false end
local index, around = found[3] - 1, tonumber(ARGV[3])
return { found, slice(math.max(index - around, 0), index + around) }`,
})

/** ARGV stamped, index of the first, index of the last. */
export const sliceScript: Script<SliceReply> = defineScript({
  name: 'leaderboard.top',
  lua: `${BOARD}
return slice(tonumber(ARGV[2]), tonumber(ARGV[3]))`,
})

/** ARGV stamped, member. */
export const removeScript: Script<number> = defineScript({
  name: 'leaderboard.remove',
  lua: `${BOARD}
local element = element_of(ARGV[2])
if not element then return 0 end
if stamped then redis.call('HDEL', stamps, ARGV[2]) end
return redis.call('ZREM', board, element)`,
})
