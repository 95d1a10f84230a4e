import { toMs } from '../shared/duration.js'
import type { FreshnessPolicy } from './freshness.js'
import type { FreshnessOptions, SetOptions } from './options.js'

/** The options of one call, complete. */
export interface LoadPolicy extends FreshnessPolicy {
  readonly ttlMs: number
  readonly negativeTtlMs: number | undefined
  readonly jitter: number
  readonly tags: readonly string[]
  readonly waitMs: number
  readonly leaseMs: number
}

/** The options of a call, or of a cache, over what holds where they are silent. */
export function policyOf(options: SetOptions, base: Partial<LoadPolicy> & { readonly leaseMs: number }): LoadPolicy {
  const ms = (value: FreshnessOptions['ttl'], otherwise: number): number =>
    value === undefined ? otherwise : toMs(value)
  const { tags = base.tags ?? [], negativeTtl } = options
  return {
    ttlMs: ms(options.ttl, base.ttlMs ?? 300_000),
    negativeTtlMs: negativeTtl === undefined ? base.negativeTtlMs : toMs(negativeTtl),
    refreshAhead: options.refreshAhead ?? base.refreshAhead ?? 0.2,
    staleWhileRevalidateMs: ms(options.staleWhileRevalidate, base.staleWhileRevalidateMs ?? 0),
    staleIfErrorMs: ms(options.staleIfError, base.staleIfErrorMs ?? 0),
    jitter: options.jitter ?? base.jitter ?? 0.1,
    xfetch: options.xfetch ?? base.xfetch ?? 0,
    waitMs: ms(options.waitTimeout, base.waitMs ?? 5000),
    leaseMs: base.leaseMs,
    tags,
  }
}

/** How long what is stored may be of use. */
export function lifetimeOf({ staleWhileRevalidateMs, staleIfErrorMs }: LoadPolicy, ttlMs: number): number {
  return ttlMs + Math.max(staleWhileRevalidateMs, staleIfErrorMs)
}
