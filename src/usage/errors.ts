import { HoldfastError } from '../shared/errors.js'

/** What was asked of the usage is no time, grouping or user. Code `ERR_HOLDFAST_USAGE_VALUE`. */
export class UsageValueError extends HoldfastError {
  override readonly name = 'UsageValueError' as const

  constructor(name: string, problem: string) {
    super('ERR_HOLDFAST_USAGE_VALUE', `usage: "${name}" ${problem}`)
  }
}
