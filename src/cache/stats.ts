import type { LocalMode } from './coherence.js'

/** Counted since the cache was created, for all its scopes. */
export interface CacheCounters {
  localHits: number
  redisHits: number
  /** From the fallback while Redis was away. */
  memoryHits: number
  /** Served past their end while being renewed. */
  stale: number
  /** Computations in the foreground and background. */
  misses: number
  /** Computations that threw. */
  errors: number
  /** Served past their end because the computation threw. */
  rescued: number
  refreshes: number
  refreshErrors: number
  stored: number
  /** Returned but not stored: longer than `maxBytes`. */
  tooLarge: number
  /** Callers who waited for another's computation until their deadline. */
  waitTimeouts: number
}

export interface CacheStats extends Readonly<CacheCounters> {
  readonly namespace: string
  /** Part of the values asked for that were not computed, from 0 to 1. */
  readonly hitRatio: number
  readonly local: {
    /** How copies in this process learn of changes now. */
    readonly mode: LocalMode
    readonly entries: number
    readonly bytes: number
    readonly evictions: number
  }
}

export function newCounters(): CacheCounters {
  return {
    localHits: 0,
    redisHits: 0,
    memoryHits: 0,
    stale: 0,
    misses: 0,
    errors: 0,
    rescued: 0,
    refreshes: 0,
    refreshErrors: 0,
    stored: 0,
    tooLarge: 0,
    waitTimeouts: 0,
  }
}

export function hitRatioOf({ localHits, redisHits, memoryHits, stale, misses, refreshes }: CacheCounters): number {
  const hits = localHits + redisHits + memoryHits + stale
  const asked = hits + misses - refreshes
  return asked <= 0 ? 0 : hits / asked
}
