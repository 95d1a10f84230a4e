import type { RedisManager } from '../redis/index.js'
import { type Duration, toMs } from '../shared/duration.js'
import { aDuration, aFunction, aManager, anInteger, anObject, aString, type Rules } from '../shared/options.js'
import type { Granularity } from './time.js'

export interface UsageRetention {
  /** @default '3h' */
  readonly minute?: Duration | undefined
  /** @default '8d' */
  readonly hour?: Duration | undefined
  /** @default '400d' */
  readonly day?: Duration | undefined
}

export interface UsageOptions {
  readonly redis: RedisManager
  /** Keeps several applications apart. @default 'default' */
  readonly name?: string | undefined
  /** Longest wait of what was tracked for the next write. @default '2s' */
  readonly flushInterval?: Duration | undefined
  /** Most combinations of minute, operation and user kept for Redis; calls of further ones are dropped. @default 10000 */
  readonly maxPending?: number | undefined
  /** Most operations told apart by this process; further ones count as `other`. @default 500 */
  readonly maxOperations?: number | undefined
  /** How long minutes, hours and days are kept after their hour, day and month. */
  readonly retention?: UsageRetention | undefined
  /** Slots of a Cluster the usage is spread over; equal in every process. More than one helps a Cluster only. @default 1 */
  readonly shards?: number | undefined
  /** The clock, in ms; for tests. @default Date.now */
  readonly now?: (() => number) | undefined
}

export interface UsageSettings {
  readonly redis: RedisManager
  readonly name: string
  readonly flushInterval: number
  readonly maxPending: number
  readonly maxOperations: number
  readonly retention: Readonly<Record<Granularity, number>>
  readonly shards: number
  readonly now: () => number
}

const TEN_YEARS = 10 * 365 * 86_400_000

export const usageRules: Rules<UsageOptions> = {
  redis: aManager,
  name: aString,
  flushInterval: aDuration(1, 60_000),
  maxPending: anInteger(1, 1_000_000),
  maxOperations: anInteger(1, 100_000),
  retention: anObject,
  shards: anInteger(1, 64),
  now: aFunction,
}

export const retentionRules: Rules<UsageRetention> = {
  minute: aDuration(60_000, TEN_YEARS),
  hour: aDuration(3_600_000, TEN_YEARS),
  day: aDuration(86_400_000, TEN_YEARS),
}

/** `options` satisfies {@link usageRules}, its retention {@link retentionRules}. */
export function resolveUsage(options: UsageOptions): UsageSettings {
  const { redis, name = 'default', flushInterval = '2s', maxPending = 10_000, maxOperations = 500 } = options
  const { retention = {}, shards = 1, now = Date.now } = options
  const { minute = '3h', hour = '8d', day = '400d' } = retention
  return {
    redis,
    name,
    flushInterval: toMs(flushInterval),
    maxPending,
    maxOperations,
    retention: { minute: wholeMs(minute), hour: wholeMs(hour), day: wholeMs(day) },
    shards,
    now,
  }
}

/** Redis takes no fractions of a millisecond. */
function wholeMs(given: Duration): number {
  return Math.ceil(toMs(given))
}
