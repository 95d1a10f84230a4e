import type { RedisStats } from '../../redis/index.js'
import type { Measured } from './levels.js'

/** What one look at Redis found. */
export interface Sample {
  /** Monotonic, in ms. */
  readonly at: number
  readonly latencyMs: number
  readonly stats: RedisStats
}

export type Readings = { readonly [Name in Measured]?: number | undefined }

const MEANINGFUL_LOOKUPS = 100
/** Below this a server's allocator overhead alone looks like fragmentation. */
const MEANINGFUL_BYTES = 100 * 1_048_576
const MEANINGFUL_KEYS = 10_000
export const GROWTH_WINDOW_MS = 3_600_000

/**
 * What the conditions are measured by. Counters of Redis run from its start, so that the difference of two samples
 * counts; a reading that means nothing yet is left out, which neither raises nor clears.
 */
export function readingsOf(current: Sample, previous: Sample | undefined, fewestKeys: number | undefined): Readings {
  const { stats, latencyMs } = current
  const { totals, servers } = stats
  const standing: Readings = {
    latency: latencyMs,
    memory: totals.usedRatio,
    replicationLag: most(servers.map(({ replication }) => replication.lagBytes)),
    fragmentation: most(
      servers.map(({ memory }) =>
        (memory.usedBytes ?? 0) >= MEANINGFUL_BYTES ? memory.fragmentationRatio : undefined,
      ),
    ),
    keyGrowth:
      fewestKeys === undefined || totals.keys < MEANINGFUL_KEYS ? 0 : totals.keys / Math.max(fewestKeys, 1) - 1,
  }
  if (previous === undefined || stats.unavailable.includes('info')) return standing
  const seconds = Math.max(current.at - previous.at, 1) / 1000
  const grown = (of: (stats: RedisStats) => number): number | undefined => {
    const difference = of(stats) - of(previous.stats)
    // A server that was restarted, or is no longer counted, began again.
    return difference < 0 ? undefined : difference
  }
  const hits = grown((it) => sum(it.servers.map(({ traffic }) => traffic.hits)))
  const misses = grown((it) => sum(it.servers.map(({ traffic }) => traffic.misses)))
  const lookups = hits === undefined || misses === undefined ? 0 : hits + misses
  const evicted = grown((it) => it.totals.evictedKeys)
  return {
    ...standing,
    hitRatio: lookups < MEANINGFUL_LOOKUPS ? undefined : (hits as number) / lookups,
    evictions: evicted === undefined ? undefined : evicted / seconds,
    rejectedConnections: grown((it) => it.totals.rejectedConnections),
    slowCalls: (newSlowCalls(stats, previous.stats) / seconds) * 60,
  }
}

function newSlowCalls(current: RedisStats, previous: RedisStats): number {
  const known = new Set(previous.slowCalls.map(identity))
  const newest = previous.slowCalls[0]?.at.getTime() ?? previous.at.getTime() - 1000
  return current.slowCalls.filter((call) => call.at.getTime() >= newest && !known.has(identity(call))).length
}

function identity({ id, at }: RedisStats['slowCalls'][number]): string {
  return `${id}/${at.getTime()}`
}

function sum(values: readonly (number | undefined)[]): number {
  return values.reduce<number>((total, value) => total + (value ?? 0), 0)
}

function most(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined)
  return known.length === 0 ? undefined : Math.max(...known)
}
