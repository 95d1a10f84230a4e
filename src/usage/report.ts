import { type BatchCommand, batch, defineScript, type RedisClient, type Script } from '../redis/index.js'
import { UsageValueError } from './errors.js'
import type { Layout } from './layout.js'
import type { UsageSettings } from './options.js'
import { bucketAt, bucketsBetween, GRANULARITIES, type Granularity, periodsBetween, SIZE } from './time.js'

export interface UsageQuery {
  readonly from: Date | number
  /** Exclusive. @default now */
  readonly to?: Date | number | undefined
  /** `user`: the heaviest by cost. @default 'operation' */
  readonly groupBy?: 'operation' | 'time' | 'user' | undefined
  /** Of one user only. */
  readonly user?: string | number | undefined
  /** Of one operation only. */
  readonly operation?: string | undefined
  /** @default the finest that is kept so long and gives at most 200 buckets */
  readonly granularity?: Granularity | undefined
  /** Counts unique callers, too (HyperLogLog, about 1 % off); not together with `user` or grouped by user. @default false */
  readonly callers?: boolean | undefined
  /** Most rows, the heaviest first; not for `groupBy: 'time'`. @default 100 */
  readonly limit?: number | undefined
}

export interface UsageCounts {
  readonly calls: number
  readonly cost: number
  readonly errors: number
  readonly durationMs: number
}

export interface UsageRow extends UsageCounts {
  /** The operation, the user, or the start of the bucket as an ISO time. */
  readonly key: string
  readonly averageMs: number
  readonly callers?: number
}

export interface UsageReport {
  /** The range, widened to whole buckets. */
  readonly from: Date
  readonly to: Date
  readonly granularity: Granularity
  readonly rows: readonly UsageRow[]
  /** Of all rows, also those over the limit; grouped by user, of those given. */
  readonly total: UsageRow
}

type Sums = { -readonly [Name in keyof UsageCounts]: number }

/** A query, checked and complete. */
export interface Plan {
  readonly groupBy: 'operation' | 'time' | 'user'
  readonly user: string | undefined
  readonly operation: string | undefined
  readonly granularity: Granularity
  readonly callers: boolean
  readonly limit: number
  readonly buckets: readonly number[]
  readonly periods: readonly string[]
}

const MOST_BUCKETS = 1000
const FEW_BUCKETS = 200
/** Rankings of so many buckets are joined in Redis. */
const MOST_RANKINGS = 93

/** KEYS rankings. ARGV most users. Replies with users and costs, the heaviest last. */
const heaviestScript: Script<string[]> = defineScript({
  name: 'usage.heaviest',
  lua: `
local command = { 'ZUNION', #KEYS }
for _, key in ipairs(KEYS) do command[#command + 1] = key end
command[#command + 1] = 'WITHSCORES'
local flat = redis.call(unpack(command))
local heaviest = {}
for i = math.max(#flat - 2 * ARGV[1], 0) + 1, #flat do heaviest[#heaviest + 1] = flat[i] end
return heaviest`,
})

const METRICS = { n: 'calls', c: 'cost', e: 'errors', d: 'durationMs' } as const

export function planOf(query: UsageQuery, settings: UsageSettings): Plan {
  if (typeof query !== 'object' || query === null) throw new UsageValueError('query', 'must be an object')
  const now = settings.now()
  const from = timeOf('from', query.from)
  const to = timeOf('to', query.to ?? now)
  if (from >= to) throw new UsageValueError('from', 'must be before "to"')
  const { groupBy = 'operation', operation, callers = false, limit = 100 } = query
  if (!['operation', 'time', 'user'].includes(groupBy))
    throw new UsageValueError('groupBy', "must be 'operation', 'time' or 'user'")
  if (!Number.isInteger(limit) || limit < 1 || limit > 1000)
    throw new UsageValueError('limit', 'must be an integer from 1 to 1000')
  const user = query.user === undefined ? undefined : userOf(query.user)
  if (callers && (groupBy === 'user' || user !== undefined))
    throw new UsageValueError('callers', 'cannot be counted of users')
  if (groupBy === 'user' && (user !== undefined || operation !== undefined)) {
    throw new UsageValueError('groupBy', "'user' cannot be combined with a user or an operation")
  }
  const kept = GRANULARITIES.filter((each) => groupBy !== 'user' || each !== 'minute')
  const most = groupBy === 'user' ? MOST_RANKINGS : FEW_BUCKETS
  const fits = (each: Granularity): boolean =>
    (to - from) / SIZE[each] <= most && now - from <= settings.retention[each]
  const granularity = query.granularity ?? kept.find(fits) ?? 'day'
  if (!kept.includes(granularity)) throw new UsageValueError('granularity', `must be one of ${kept.join(', ')}`)
  // Before the buckets are made: a range of centuries has millions.
  if ((to - from) / SIZE[granularity] > (groupBy === 'user' ? MOST_RANKINGS : MOST_BUCKETS)) {
    throw new UsageValueError('from', `is too long ago for buckets of one ${granularity}`)
  }
  const buckets = bucketsBetween(granularity, from, to)
  const periods = periodsBetween(granularity, buckets[0] as number, to)
  return { groupBy, user, operation, granularity, callers, limit, buckets, periods }
}

function timeOf(name: string, value: unknown): number {
  const time = value instanceof Date ? value.getTime() : value
  const fine = typeof time === 'number' && time >= 0 && time <= Date.UTC(9999, 0)
  if (!fine) throw new UsageValueError(name, 'must be a Date or milliseconds')
  return time
}

export function userOf(value: unknown): string {
  const user = typeof value === 'number' && Number.isFinite(value) ? String(value) : value
  if (typeof user !== 'string' || user === '' || user.length > 256) {
    throw new UsageValueError('user', 'must be a text of 1 to 256 characters, or a number')
  }
  return user
}

/** Runs within one call of the manager. `corrupt` is told of keys that hold something else. */
export async function reportOf(
  client: RedisClient,
  plan: Plan,
  layout: Layout,
  corrupt: () => void,
): Promise<UsageReport> {
  const { groupBy, user, operation, granularity, buckets, periods, limit } = plan
  const groups = new Map<string, Sums>()
  if (groupBy === 'time') for (const bucket of buckets) groups.set(new Date(bucket).toISOString(), nothing())

  const users = groupBy === 'user' ? await heaviest(client, plan, layout) : user === undefined ? undefined : [user]
  const sources = (users ?? [undefined]).flatMap((of) =>
    periods.flatMap((period) => keysOf(layout, of, granularity, period).map((key) => ({ of, period, key }))),
  )
  const replies = await hashes(
    client,
    sources.map(({ key }) => key),
    corrupt,
  )
  const wanted = new Set(buckets)
  for (const [index, { of, period }] of sources.entries()) {
    for (const [field, text] of Object.entries(replies[index] ?? {})) {
      const [, digits = '', metric = '', name = ''] = /^(\d\d)\|([nced])\|(.+)$/s.exec(field) ?? []
      const bucket = bucketAt(granularity, period, digits)
      const value = Number(text)
      if (!wanted.has(bucket) || !Number.isFinite(value) || (operation !== undefined && name !== operation)) continue
      const group = groupBy === 'user' ? (of as string) : groupBy === 'time' ? new Date(bucket).toISOString() : name
      const sums = groups.get(group) ?? nothing()
      groups.set(group, sums)
      sums[METRICS[metric as keyof typeof METRICS]] += value
    }
  }

  const total = nothing()
  for (const sums of groups.values()) for (const name of Object.values(METRICS)) total[name] += sums[name]
  const rows = [...groups].map(([key, sums]) => rowOf(key, sums))
  if (groupBy !== 'time')
    rows.sort((a, b) => b.cost - a.cost || b.calls - a.calls || (a.key < b.key ? -1 : 1)).splice(limit)
  const [first, last] = [buckets[0] as number, buckets.at(-1) as number]
  return {
    from: new Date(first),
    to: new Date(last + SIZE[granularity]),
    granularity,
    rows: plan.callers ? await withCallers(client, rows, plan, layout) : rows,
    total: {
      ...rowOf('total', total),
      ...(plan.callers ? { callers: await countCallers(client, layout, granularity, buckets, operation) } : {}),
    },
  }
}

function keysOf(layout: Layout, user: string | undefined, granularity: Granularity, period: string): string[] {
  if (user !== undefined) return [layout.user(user, granularity, period)]
  return Array.from({ length: layout.shards }, (_, shard) => layout.all(shard, granularity, period))
}

async function hashes(
  client: RedisClient,
  keys: readonly string[],
  corrupt: () => void,
): Promise<Record<string, string>[]> {
  const replies = await batch(
    client,
    keys.map((key): BatchCommand => ['hgetall', key]),
  )
  return replies.map(([error, reply]) => {
    if (error === null) return reply as Record<string, string>
    corrupt()
    return {}
  })
}

async function heaviest(client: RedisClient, { granularity, buckets, limit }: Plan, layout: Layout): Promise<string[]> {
  const ranked = await Promise.all(
    Array.from({ length: layout.shards }, async (_, shard) => {
      const keys = buckets.map((bucket) => layout.ranking(shard, granularity, bucket))
      const flat = await heaviestScript.run(client, keys, [limit])
      return flat.flatMap((user, index) => (index % 2 === 0 ? [{ user, cost: Number(flat[index + 1]) }] : []))
    }),
  )
  const all = ranked.flat().sort((a, b) => b.cost - a.cost)
  return all.slice(0, limit).map(({ user }) => user)
}

function withCallers(client: RedisClient, rows: readonly UsageRow[], plan: Plan, layout: Layout): Promise<UsageRow[]> {
  const { groupBy, granularity, buckets, operation } = plan
  return Promise.all(
    rows.map(async (row) => {
      const within = groupBy === 'time' ? [Date.parse(row.key)] : buckets
      const of = groupBy === 'time' ? operation : row.key
      return { ...row, callers: await countCallers(client, layout, granularity, within, of) }
    }),
  )
}

/** Every caller is in one shard only. */
async function countCallers(
  client: RedisClient,
  layout: Layout,
  granularity: Granularity,
  buckets: readonly number[],
  operation: string | undefined,
): Promise<number> {
  const counts = await Promise.all(
    Array.from({ length: layout.shards }, (_, shard) =>
      client.pfcount(...buckets.map((bucket) => layout.callers(shard, granularity, bucket, operation))),
    ),
  )
  return counts.reduce((sum, count) => sum + count, 0)
}

function nothing(): Sums {
  return { calls: 0, cost: 0, errors: 0, durationMs: 0 }
}

function rowOf(key: string, sums: Sums): UsageRow {
  return { key, ...sums, averageMs: sums.calls === 0 ? 0 : sums.durationMs / sums.calls }
}
