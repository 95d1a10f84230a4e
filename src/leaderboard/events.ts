/** What became of one call to a leaderboard. Built only where somebody listens. */
export interface LeaderboardOutcome {
  readonly board: string
  readonly operation: 'add' | 'increment' | 'best' | 'top' | 'rank' | 'remove' | 'size' | 'clear'
  /** `absent`: the member has no place on the board · `failed`: Redis was away, or refused. */
  readonly outcome: 'done' | 'absent' | 'failed'
  readonly durationMs: number
}

declare module '../shared/events.js' {
  interface EventCatalogue {
    readonly leaderboard: LeaderboardOutcome
  }
}
