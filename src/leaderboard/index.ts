export {
  type BoardAt,
  createLeaderboard,
  type Leaderboard,
  type Placing,
  type PlacingAmong,
  type Standing,
} from './board.js'
export { LeaderboardValueError } from './errors.js'
export type { LeaderboardOutcome } from './events.js'
export type { LeaderboardOptions } from './options.js'
export type { LeaderboardPeriod } from './period.js'
