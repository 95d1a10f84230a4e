export type Granularity = 'minute' | 'hour' | 'day'

export const GRANULARITIES: readonly Granularity[] = ['minute', 'hour', 'day']

export const SIZE: Readonly<Record<Granularity, number>> = { minute: 60_000, hour: 3_600_000, day: 86_400_000 }

/** Characters of an ISO time that name the period of a key, and where the two digits of a bucket in it begin. */
const PERIOD = { minute: 13, hour: 10, day: 7 } as const
const DIGITS = { minute: 14, hour: 11, day: 8 } as const

/** Start of the bucket (UTC) that holds a time. */
export function bucketOf(granularity: Granularity, at: number): number {
  return Math.floor(at / SIZE[granularity]) * SIZE[granularity]
}

/** The minutes of an hour, the hours of a day and the days of a month share one key: `2026-11-21T09`, `2026-11-21`, `2026-11`. */
export function periodOf(granularity: Granularity, at: number): string {
  return new Date(at).toISOString().slice(0, PERIOD[granularity])
}

/** Two digits that name the bucket within its period. */
export function digitsOf(granularity: Granularity, at: number): string {
  return new Date(at).toISOString().slice(DIGITS[granularity], DIGITS[granularity] + 2)
}

/** Start of the bucket that two digits name within a period. */
export function bucketAt(granularity: Granularity, period: string, digits: string): number {
  const rest = { minute: `:${digits}:00.000Z`, hour: `T${digits}:00:00.000Z`, day: `-${digits}T00:00:00.000Z` }
  return Date.parse(period + rest[granularity])
}

/** When the period of a key is over. */
export function periodEnd(granularity: Granularity, at: number): number {
  if (granularity === 'minute') return bucketOf('hour', at) + SIZE.hour
  if (granularity === 'hour') return bucketOf('day', at) + SIZE.day
  const date = new Date(at)
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1)
}

/** Starts of all buckets that touch the range. */
export function bucketsBetween(granularity: Granularity, from: number, to: number): number[] {
  const buckets: number[] = []
  for (let at = bucketOf(granularity, from); at < to; at += SIZE[granularity]) buckets.push(at)
  return buckets
}

export function periodsBetween(granularity: Granularity, from: number, to: number): string[] {
  const periods: string[] = []
  for (let at = from; at < to; at = periodEnd(granularity, at)) periods.push(periodOf(granularity, at))
  return periods
}
