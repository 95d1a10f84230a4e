import { type Duration, toMs } from '../shared/duration.js'
import type { CacheOutcome } from './events.js'
import { passing } from './held.js'
import type { CacheCounters } from './stats.js'
import type { Held, Packed, Values } from './values.js'

/** What a computation may say about its result. */
export interface ComputeContext {
  /** Aborted when the cache is closed. */
  readonly signal: AbortSignal
  /** How long the result is fresh. */
  setTtl(ttl: Duration): void
  /** More tags. */
  setTags(...tags: string[]): void
  /** Return the result, store nothing. */
  skip(): void
}

export type Compute = (context: ComputeContext) => unknown

export interface Computed {
  readonly held: Held
  readonly packed: Packed | undefined
  readonly ttlMs: number
  readonly moreTags: readonly string[]
}

export interface ComputationOptions {
  readonly values: Values
  readonly counters: CacheCounters
  readonly report: (outcome: Omit<CacheOutcome, 'namespace'>) => void
  readonly signal: AbortSignal
}

/** Runs a computation and packs its result. Rejects with what it throws, and where the codec cannot carry the result. */
export async function runComputation(
  compute: Compute,
  policy: { readonly ttlMs: number; readonly negativeTtlMs: number | undefined },
  { values, counters, report, signal }: ComputationOptions,
): Promise<Computed> {
  let ttlMs: number | undefined
  let skipped = false
  const moreTags: string[] = []
  const started = performance.now()
  counters.misses++
  let value: unknown
  try {
    value = await compute({
      signal,
      setTtl: (ttl) => {
        ttlMs = toMs(ttl)
      },
      setTags: (...tags) => void moreTags.push(...tags),
      skip: () => {
        skipped = true
      },
    })
  } catch (error) {
    counters.errors++
    throw error
  }
  report({ outcome: 'miss' })
  const ttl = ttlMs ?? (value === null ? policy.negativeTtlMs : undefined) ?? policy.ttlMs
  if (value === undefined || skipped || !(ttl > 0)) {
    return { held: passing(value), packed: undefined, ttlMs: ttl, moreTags }
  }
  const packed = values.pack(value, performance.now() - started)
  return { held: values.hold(packed), packed, ttlMs: ttl, moreTags }
}
