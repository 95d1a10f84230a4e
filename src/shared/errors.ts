import { types } from 'node:util'

const brand = Symbol.for('holdfast.error')

/**
 * Root of every error Holdfast throws or rejects with. `code` is stable across releases, `cause` is the origin.
 *
 * @example
 * ```ts
 * import { isHoldfastError } from 'holdfast'
 *
 * export const codeOf = (error: unknown): string => (isHoldfastError(error) ? error.code : 'UNKNOWN')
 * ```
 */
export class HoldfastError extends Error {
  override readonly name: string = 'HoldfastError'
  readonly code: string

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    Object.defineProperty(this, brand, { value: true })
  }
}

/** True for errors of any installed copy of Holdfast, where `instanceof` fails. */
export function isHoldfastError(error: unknown): error is HoldfastError {
  return typeof error === 'object' && error !== null && (error as Record<symbol, unknown>)[brand] === true
}

/** A programmer's mistake in an option or environment variable, thrown at construction. Code `ERR_HOLDFAST_CONFIG`. */
export class ConfigurationError extends HoldfastError {
  override readonly name = 'ConfigurationError' as const
  /** Name of the option or environment variable at fault. */
  readonly option: string

  constructor(owner: string, option: string, problem: string) {
    super('ERR_HOLDFAST_CONFIG', `${owner}: "${option}" ${problem}`)
    this.option = option
  }
}

/** True for errors of any realm: inside Jest those of Node itself, of sockets and TLS, are not `instanceof Error`. */
export function isError(value: unknown): value is Error {
  return types.isNativeError(value) || value instanceof Error
}

/** True for {@link ConfigurationError} of any installed copy of Holdfast. */
export function isConfigurationError(error: unknown): error is ConfigurationError {
  return isHoldfastError(error) && error.code === 'ERR_HOLDFAST_CONFIG'
}
