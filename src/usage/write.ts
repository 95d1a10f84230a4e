import { defineScript, type Script } from '../redis/index.js'
import { fieldOf, type Layout, type Metric } from './layout.js'
import type { UsageSettings } from './options.js'
import type { Tally } from './tally.js'
import { bucketOf, digitsOf, GRANULARITIES, type Granularity, periodEnd, periodOf } from './time.js'

/** What one call of the script is given. */
export interface Write {
  readonly keys: readonly string[]
  readonly args: readonly (string | number)[]
}

/** Most users ranked in one bucket: the heaviest. */
const MOST_RANKED = 2000

/**
 * Applies a list of increments unless it has been applied before: a write is sent again, with the number it had, until
 * it is answered, and processes number theirs one by one. A command that Redis refuses (foreign data under a key)
 * leaves the others alone.
 *
 * KEYS what this process wrote last, then the keys of the commands. ARGV number of this write, for how long to remember
 * it (ms), then for each command: kind, index of its key, two arguments. Replies with -1 where it was applied before,
 * else with how many commands were refused.
 */
export const writeScript: Script<number> = defineScript({
  name: 'usage.write',
  lua: `
if tonumber(redis.call('GET', KEYS[1]) or 0) >= tonumber(ARGV[1]) then return -1 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
local run = {
  h = function(key, a, b) return redis.pcall('HINCRBYFLOAT', key, a, b) end,
  z = function(key, a, b) return redis.pcall('ZINCRBY', key, b, a) end,
  p = function(key, a) return redis.pcall('PFADD', key, a) end,
  s = function(key, a, b)
    local before = redis.pcall('HGET', key, a)
    if type(before) == 'table' then return before end
    if (tonumber(before or 0) or 0) >= tonumber(b) then return 0 end
    return redis.pcall('HSET', key, a, b)
  end,
  f = function(key, a, b) return redis.pcall('HSETNX', key, a, b) end,
  t = function(key, a) return redis.pcall('ZREMRANGEBYRANK', key, 0, a) end,
  e = function(key, a) return redis.pcall('PEXPIREAT', key, a) end,
}
local refused = 0
for i = 3, #ARGV, 4 do
  local reply = run[ARGV[i]](KEYS[tonumber(ARGV[i + 1])], ARGV[i + 2], ARGV[i + 3])
  if type(reply) == 'table' and reply.err then refused = refused + 1 end
end
return refused`,
})

/** The commands that add these tallies, increments of one field joined. Buckets that have expired are left out. */
export function writeOf(tallies: readonly Tally[], shard: number, layout: Layout, settings: UsageSettings): Write {
  const now = settings.now()
  const keys: string[] = []
  const indexes = new Map<string, number>()
  const increments = new Map<string, { readonly key: string; readonly field: string; by: number }>()
  const others = new Map<string, readonly (string | number)[]>()
  const expiries = new Map<string, number>()
  const lastOf = new Map<string, number>()

  function touch(key: string, expiresAt: number): void {
    expiries.set(key, Math.max(expiries.get(key) ?? 0, expiresAt))
  }

  function add(kind: 'h' | 'z', key: string, field: string, by: number): void {
    if (by === 0) return
    const name = `${kind}${key}\0${field}`
    const increment = increments.get(name) ?? { key, field, by: 0 }
    increments.set(name, increment)
    increment.by += by
  }

  function set(kind: 'p' | 's' | 'f' | 't', key: string, a: string | number, b: string | number = ''): void {
    others.set(`${kind}${key}\0${a}`, [kind, indexOf(key), a, b])
  }

  function indexOf(key: string): number {
    const known = indexes.get(key)
    if (known !== undefined) return known
    // After the guard, and Lua counts from 1.
    const index = keys.push(key) + 1
    indexes.set(key, index)
    return index
  }

  function count(key: string, digits: string, tally: Tally, expiresAt: number): void {
    const metrics: [Metric, number][] = [
      ['n', tally.calls],
      ['c', tally.cost],
      ['e', tally.errors],
      ['d', tally.durationMs],
    ]
    for (const [metric, by] of metrics) add('h', key, fieldOf(digits, metric, tally.operation), by)
    touch(key, expiresAt)
  }

  function countFor(granularity: Granularity, tally: Tally): void {
    const { minute: at, user, operation } = tally
    const expiresAt = periodEnd(granularity, at) + settings.retention[granularity]
    if (expiresAt <= now) return
    const period = periodOf(granularity, at)
    const digits = digitsOf(granularity, at)
    count(layout.all(shard, granularity, period), digits, tally, expiresAt)
    if (user === undefined) return
    const own = layout.user(user, granularity, period)
    count(own, digits, tally, expiresAt)
    add('h', own, fieldOf(digits, 'c', ''), tally.cost)
    const bucket = bucketOf(granularity, at)
    for (const callers of [
      layout.callers(shard, granularity, bucket),
      layout.callers(shard, granularity, bucket, operation),
    ]) {
      set('p', callers, user)
      touch(callers, expiresAt)
    }
    if (granularity === 'minute') return
    const ranking = layout.ranking(shard, granularity, bucket)
    add('z', ranking, user, tally.cost)
    set('t', ranking, -MOST_RANKED - 1)
    touch(ranking, expiresAt)
  }

  for (const tally of tallies) {
    for (const granularity of GRANULARITIES) countFor(granularity, tally)
    if (tally.user === undefined) continue
    const seen = layout.seen(tally.user)
    set('f', seen, 'first', tally.minute)
    set('s', seen, 'last', Math.max(tally.lastAt, lastOf.get(tally.user) ?? 0))
    lastOf.set(tally.user, Math.max(tally.lastAt, lastOf.get(tally.user) ?? 0))
    touch(seen, now + settings.retention.day)
  }

  const args: (string | number)[] = []
  for (const [name, { key, field, by }] of increments) args.push(name[0] as string, indexOf(key), field, by)
  for (const command of others.values()) args.push(...command)
  for (const [key, at] of expiries) args.push('e', indexOf(key), at, '')
  return { keys, args }
}
