import { HoldfastError } from '../shared/errors.js'

/** A member, score, count or date given to a leaderboard is none. Nothing was written. Code `ERR_HOLDFAST_LEADERBOARD_VALUE`. */
export class LeaderboardValueError extends HoldfastError {
  override readonly name = 'LeaderboardValueError' as const

  constructor(name: string, problem: string) {
    super('ERR_HOLDFAST_LEADERBOARD_VALUE', `leaderboard: "${name}" ${problem}`)
  }
}
