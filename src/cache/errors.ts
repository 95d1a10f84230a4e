import { HoldfastError, isHoldfastError } from '../shared/errors.js'

/** A value that the codec cannot carry unchanged. A programmer's mistake. Code `ERR_HOLDFAST_CACHE_VALUE`. */
export class CacheValueError extends HoldfastError {
  override readonly name = 'CacheValueError' as const

  constructor(problem: string, options?: ErrorOptions) {
    super('ERR_HOLDFAST_CACHE_VALUE', `this value cannot be cached: ${problem}`, options)
  }
}

/** True for {@link CacheValueError} of any installed copy of Holdfast. */
export function isCacheValueError(error: unknown): error is CacheValueError {
  return isHoldfastError(error) && error.code === 'ERR_HOLDFAST_CACHE_VALUE'
}
