/** How one request for a value ended. */
export interface CacheOutcome {
  readonly namespace: string
  /** `stale`: served past its end while it is renewed. `rescued`: served past its end because its renewal failed. */
  readonly outcome: 'hit' | 'stale' | 'miss' | 'rescued' | 'failed'
  /** Where a value that was served lay. `memory`: the fallback while Redis is away. */
  readonly tier?: 'local' | 'redis' | 'memory'
  /** Since the value was computed. */
  readonly ageMs?: number
}

declare module '../shared/events.js' {
  interface EventCatalogue {
    /** One value asked of a cache; built only while somebody listens. */
    readonly cache: CacheOutcome
    /** A renewal in the background failed; the old value is served while it may be. */
    readonly 'cache.refresh-failed': { readonly namespace: string; readonly error: unknown }
  }
}
