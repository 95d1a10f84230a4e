/** ISO 3 R20: twenty steps to a decade, each about 12 % above the one before, 1, 2, 2.5 and 5 among them. */
const R20 = [1, 1.12, 1.25, 1.4, 1.6, 1.8, 2, 2.24, 2.5, 2.8, 3.15, 3.55, 4, 4.5, 5, 5.6, 6.3, 7.1, 8, 9]
const DECADES = [-2, -1, 0, 1, 2, 3, 4]

/** Upper bounds in milliseconds, from 10 µs to 100 s. Longer times are in one bucket more. */
export const BOUNDS_MS: readonly number[] = [
  ...DECADES.flatMap((decade) => R20.map((step) => Number((step * 10 ** decade).toPrecision(3)))),
  100_000,
]
export const BUCKETS: number = BOUNDS_MS.length + 1

/** The first bucket whose upper bound is not below `ms`. */
export function bucketOf(ms: number): number {
  let low = 0
  let high = BOUNDS_MS.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((BOUNDS_MS[middle] as number) < ms) low = middle + 1
    else high = middle
  }
  return low
}

/** Times in milliseconds; 0 before the first one. */
export interface TimeStats {
  readonly meanMs: number
  /** Percentiles are within 6 %. */
  readonly p50Ms: number
  readonly p95Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

/** Times in fixed buckets: recording allocates nothing, and histograms of many processes add up exactly. */
export class Histogram {
  readonly counts: Float64Array = new Float64Array(BUCKETS)
  count = 0
  sumMs = 0
  maxMs = 0

  record(ms: number): void {
    const time = ms > 0 && ms < Number.MAX_SAFE_INTEGER ? ms : 0
    const bucket = bucketOf(time)
    this.counts[bucket] = (this.counts[bucket] as number) + 1
    this.count++
    this.sumMs += time
    if (time > this.maxMs) this.maxMs = time
  }

  /** The time below which the share `q` of all times lies, within 6 %; 0 before the first. */
  quantile(q: number): number {
    if (this.count === 0) return 0
    const rank = q * this.count
    let below = 0
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      const here = this.counts[bucket] as number
      if (here > 0 && below + here >= rank) {
        const from = bucket === 0 ? 0 : (BOUNDS_MS[bucket - 1] as number)
        const to = Math.min(BOUNDS_MS[bucket] ?? this.maxMs, this.maxMs)
        return from + Math.max(to - from, 0) * ((rank - below) / here)
      }
      below += here
    }
    return this.maxMs
  }

  stats(): TimeStats {
    return {
      meanMs: this.count === 0 ? 0 : this.sumMs / this.count,
      p50Ms: this.quantile(0.5),
      p95Ms: this.quantile(0.95),
      p99Ms: this.quantile(0.99),
      maxMs: this.maxMs,
    }
  }

  /** How many times were at most `ms`, where `ms` is one of {@link BOUNDS_MS}. */
  atMost(ms: number): number {
    let total = 0
    for (let bucket = 0; bucket <= bucketOf(ms); bucket++) total += this.counts[bucket] as number
    return total
  }

  add(other: Histogram): void {
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      this.counts[bucket] = (this.counts[bucket] as number) + (other.counts[bucket] as number)
    }
    this.count += other.count
    this.sumMs += other.sumMs
    this.maxMs = Math.max(this.maxMs, other.maxMs)
  }
}
