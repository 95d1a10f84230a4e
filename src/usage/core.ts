import { type BatchCommand, batch, RedisUnavailableError } from '../redis/index.js'
import { checkOptions, requireOptions } from '../shared/options.js'
import { createLayout } from './layout.js'
import { resolveUsage, retentionRules, type UsageOptions, usageRules } from './options.js'
import { createQuota, type Quota, type QuotaOptions } from './quota.js'
import { planOf, reportOf, type UsageQuery, type UsageReport, type UsageRow, userOf } from './report.js'
import { Tallies } from './tally.js'
import { bucketsBetween, GRANULARITIES, periodsBetween, SIZE } from './time.js'
import { createWriter } from './writer.js'

export interface TrackDetails {
  /** What the call counts for quotas and rankings, 0 or more. @default 1 */
  readonly cost?: number | undefined
  /** @default 0 */
  readonly durationMs?: number | undefined
  /** Counts as an error. @default false */
  readonly failed?: boolean | undefined
}

export interface UsageStats {
  /** Calls tracked by this process. */
  readonly tracked: number
  /** Calls known to be in Redis. */
  readonly flushed: number
  /** Calls that found no place while Redis was away. */
  readonly dropped: number
  /** Calls to `track` with something that cannot be counted, or after `close`. */
  readonly invalid: number
  /** Combinations of minute, operation and user that wait for the next write. */
  readonly pending: number
}

export interface UserActivity {
  /** To the minute; undefined for who was never seen, or not since days expire. */
  readonly firstSeen: Date | undefined
  readonly lastSeen: Date | undefined
  /** One row for each of the last days, the oldest first. */
  readonly days: readonly UsageRow[]
  /** By operation, over the same days, the heaviest first. */
  readonly operations: readonly UsageRow[]
  /** Calls by hour of the day (UTC), over the last week. */
  readonly hours: readonly number[]
}

/** Who calls what, how often, at what cost and how fast. */
export interface UsageService {
  /** Counts a call. Never throws and never waits; what cannot be counted is itself counted, see {@link UsageStats}. */
  track(user: string | number | undefined, operation: string, details?: TrackDetails): void
  /** Rejects with `UsageValueError`, and with `RedisUnavailableError` while Redis is away. */
  report(query: UsageQuery): Promise<UsageReport>
  /** One user's days, hours and operations. Rejects as {@link UsageService.report} does. */
  activity(user: string | number, days?: number): Promise<UserActivity>
  /** A quota for the limiter's `skip` or `limit`. */
  quota<Req>(options: QuotaOptions<Req>): Quota<Req>
  /** Removes what is stored of a user by name. Sums over all users and unique callers stay: they name nobody. */
  erase(user: string | number): Promise<void>
  /** Writes what was tracked. True once it is in Redis; never rejects. */
  flush(): Promise<boolean>
  stats(): UsageStats
  /** Writes what was tracked, for at most a second, and stops. Idempotent. */
  close(): Promise<void>
}

const ADMINISTRATION = { deadline: 2000 } as const
const LONGEST_OPERATION = 120
const WEEK = 7 * SIZE.day
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not pass
const CONTROL = /[\x00-\x1f\x7f]/g

export function createUsageCore(options: UsageOptions): UsageService {
  checkOptions('createUsage', options, usageRules)
  requireOptions('createUsage', options, usageRules, 'redis')
  if (options.retention !== undefined) checkOptions('createUsage', options.retention, retentionRules)
  const settings = resolveUsage(options)
  const { redis, now } = settings
  const layout = createLayout(redis.keys, settings.name, settings.shards)
  const tallies = new Tallies(settings.maxPending)
  const writer = createWriter(tallies, layout, settings)
  const operations = new Set<string>()
  let tracked = 0
  let invalid = 0
  let closed: Promise<void> | undefined

  function operationOf(given: string): string {
    const name = given.replace(CONTROL, ' ').slice(0, LONGEST_OPERATION).toWellFormed()
    if (operations.has(name)) return name
    if (operations.size >= settings.maxOperations) return 'other'
    operations.add(name)
    return name
  }

  function refuse(): void {
    invalid++
    redis.warn(
      'HOLDFAST_USAGE_INVALID',
      'a call to usage.track was not counted: no operation, or a user, cost or duration that is none',
    )
  }

  async function report(query: UsageQuery): Promise<UsageReport> {
    const plan = planOf(query, settings)
    const corrupt = (): void => redis.emit('data.corrupt', { feature: 'usage', problem: 'a key holds foreign data' })
    return redis.execute('usage.report', (client) => reportOf(client, plan, layout, corrupt), ADMINISTRATION)
  }

  async function seenOf(user: string): Promise<(Date | undefined)[]> {
    const times = await redis.execute('usage.seen', (client) => client.hmget(layout.seen(user), 'first', 'last'))
    return times.map((time) => (time !== null && Number(time) > 0 ? new Date(Number(time)) : undefined))
  }

  return {
    track(user, operation, { cost = 1, durationMs = 0, failed = false } = {}) {
      const known = user === undefined || user === null ? undefined : typeof user === 'number' ? String(user) : user
      const userFits = known === undefined || (typeof known === 'string' && known !== '' && known.length <= 256)
      const fits = typeof operation === 'string' && operation !== '' && isAmount(cost) && isAmount(durationMs)
      if (closed !== undefined) return void invalid++
      if (!userFits || !fits) return refuse()
      tracked++
      const duration = Math.round(durationMs * 1000) / 1000
      tallies.add({
        at: now(),
        operation: operationOf(operation),
        user: known?.toWellFormed(),
        cost,
        durationMs: duration,
        failed,
      })
      writer.wake()
    },
    report,
    async activity(given, days = 30) {
      const user = userOf(given)
      const to = now()
      const from = to - (days - 1) * SIZE.day
      const since = { user, from, to, granularity: 'day' } as const
      const [[firstSeen, lastSeen], byDay, byOperation, byHour] = await Promise.all([
        seenOf(user),
        report({ ...since, groupBy: 'time' }),
        report({ ...since, groupBy: 'operation' }),
        report({ user, from: to - WEEK, to, granularity: 'hour', groupBy: 'time' }),
      ])
      const hours = new Array<number>(24).fill(0)
      for (const { key, calls } of byHour.rows) {
        const hour = new Date(key).getUTCHours()
        hours[hour] = (hours[hour] ?? 0) + calls
      }
      return { firstSeen, lastSeen, days: byDay.rows, operations: byOperation.rows, hours }
    },
    quota: (quota) => createQuota(quota, layout, settings),
    async erase(given) {
      const user = userOf(given).toWellFormed()
      tallies.forget(user)
      // What is still to be written would bring the user back.
      if (!(await writer.flush())) throw new RedisUnavailableError('usage.erase', 'degraded')
      const to = now() + SIZE.day
      const commands: BatchCommand[] = [['unlink', layout.seen(user)]]
      for (const granularity of GRANULARITIES) {
        const from = Math.max(to - settings.retention[granularity] - 33 * SIZE.day, 0)
        for (const period of periodsBetween(granularity, from, to))
          commands.push(['unlink', layout.user(user, granularity, period)])
        if (granularity === 'minute') continue
        for (const bucket of bucketsBetween(granularity, from, to)) {
          commands.push(['zrem', layout.ranking(layout.shardOf(user), granularity, bucket), user])
        }
      }
      await redis.execute('usage.erase', (client) => batch(client, commands), ADMINISTRATION)
    },
    flush: () => writer.flush(),
    stats: () => ({
      tracked,
      flushed: writer.flushed,
      dropped: writer.dropped + tallies.dropped,
      invalid,
      pending: writer.pending,
    }),
    close() {
      closed ??= writer.close()
      return closed
    },
  }
}

function isAmount(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0
}
