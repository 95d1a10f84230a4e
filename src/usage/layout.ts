import { createHash } from 'node:crypto'
import type { Keyspace } from '../redis/index.js'
import { bucketOf, type Granularity, periodOf } from './time.js'

/**
 * Where what is kept. Everything of one user is in one shard, so that unique callers of all shards add up.
 *
 * Counts are hashes, one per hour, day or month, with fields `<digits of the bucket>|<metric>|<operation>`. Metrics: `n`
 * calls, `c` cost, `e` errors, `d` duration in ms. Without an operation: the sum, of a user's cost only.
 */
export interface Layout {
  readonly shards: number
  shardOf(user: string | undefined): number
  /** The last write of each process that this shard has seen. */
  guard(shard: number, process: string): string
  /** Counts of everybody. */
  all(shard: number, granularity: Granularity, period: string): string
  /** Counts of one user. */
  user(user: string, granularity: Granularity, period: string): string
  /** First and last call of a user. */
  seen(user: string): string
  /** Users by cost in one bucket. */
  ranking(shard: number, granularity: Granularity, bucket: number): string
  /** Unique callers in one bucket, of one operation or of all. */
  callers(shard: number, granularity: Granularity, bucket: number, operation?: string): string
}

export type Metric = 'n' | 'c' | 'e' | 'd'

export function fieldOf(digits: string, metric: Metric, operation: string): string {
  return `${digits}|${metric}|${operation}`
}

export function createLayout(keys: Keyspace, name: string, shards: number): Layout {
  const slots = Array.from({ length: shards }, (_, shard) => keys.slot(`${name}/${shard}`))
  const key = (shard: number, ...parts: string[]): string =>
    keys.key('usage', slots[shard] as (typeof slots)[0], ...parts)
  const shardOf = (user: string | undefined): number =>
    user === undefined || shards === 1 ? 0 : createHash('sha1').update(user).digest().readUInt32BE(0) % shards
  const bucketName = (granularity: Granularity, bucket: number): string =>
    granularity === 'day'
      ? new Date(bucket).toISOString().slice(0, 10)
      : `${periodOf(granularity, bucketOf(granularity, bucket))}/${new Date(bucket).toISOString().slice(11, 16)}`
  return {
    shards,
    shardOf,
    guard: (shard, process) => key(shard, 'writes', process),
    all: (shard, granularity, period) => key(shard, 'all', granularity, period),
    user: (user, granularity, period) => key(shardOf(user), 'user', user, granularity, period),
    seen: (user) => key(shardOf(user), 'user', user, 'seen'),
    ranking: (shard, granularity, bucket) => key(shard, 'ranking', granularity, bucketName(granularity, bucket)),
    callers: (shard, granularity, bucket, operation) =>
      key(
        shard,
        'callers',
        granularity,
        bucketName(granularity, bucket),
        ...(operation === undefined ? [] : [operation]),
      ),
  }
}
