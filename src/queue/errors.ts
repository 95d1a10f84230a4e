import { HoldfastError, isError, isHoldfastError } from '../shared/errors.js'

/** Thrown by a handler: trying again is of no use, the job is dead at once. Code `ERR_HOLDFAST_JOB_PERMANENT`. */
export class PermanentJobError extends HoldfastError {
  override readonly name = 'PermanentJobError' as const

  constructor(message: string, options?: ErrorOptions) {
    super('ERR_HOLDFAST_JOB_PERMANENT', message, options)
  }
}

/** True for {@link PermanentJobError} of any installed copy of Holdfast. */
export function isPermanentJobError(error: unknown): error is PermanentJobError {
  return isHoldfastError(error) && error.code === 'ERR_HOLDFAST_JOB_PERMANENT'
}

/** BullMQ reads `message` and `stack` of whatever a handler throws. */
export function asError(thrown: unknown): Error {
  return isError(thrown) ? thrown : new Error(String(thrown))
}
