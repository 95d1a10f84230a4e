/** What became of one call to the preferences. Built only where somebody listens. */
export interface PreferencesOutcome {
  /** The `name` option. */
  readonly name: string
  readonly operation: 'get' | 'read' | 'write' | 'export' | 'erase'
  /**
   * `local`: known in this process · `redis`: read there · `stale`, `default`: Redis was away, and the last value known
   * here or the default was given · `written` · `conflict`: somebody else had written since · `failed`: Redis was away,
   * or refused.
   */
  readonly outcome: 'local' | 'redis' | 'stale' | 'default' | 'written' | 'conflict' | 'failed'
  readonly durationMs: number
}

declare module '../shared/events.js' {
  interface EventCatalogue {
    readonly preferences: PreferencesOutcome
  }
}
