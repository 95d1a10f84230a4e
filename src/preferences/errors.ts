import { HoldfastError, isHoldfastError } from '../shared/errors.js'

/** A user, key or value is none of those allowed; nothing was written. Code `ERR_HOLDFAST_PREFERENCE_VALUE`. */
export class PreferenceValueError extends HoldfastError {
  override readonly name = 'PreferenceValueError' as const
  /** `user`, or the key at fault where it is a known one. */
  readonly field: string

  constructor(field: string, problem: string) {
    super('ERR_HOLDFAST_PREFERENCE_VALUE', `preferences: "${field}" ${problem}`)
    this.field = field
  }
}

/** Others kept changing the preferences while `update` tried. Code `ERR_HOLDFAST_PREFERENCE_CONFLICT`. */
export class PreferenceConflictError extends HoldfastError {
  override readonly name = 'PreferenceConflictError' as const

  constructor(attempts: number) {
    super('ERR_HOLDFAST_PREFERENCE_CONFLICT', `preferences: they were changed by others during ${attempts} attempts`)
  }
}

/** True for {@link PreferenceValueError} of any installed copy of Holdfast. */
export function isPreferenceValueError(error: unknown): error is PreferenceValueError {
  return isHoldfastError(error) && error.code === 'ERR_HOLDFAST_PREFERENCE_VALUE'
}
