import { isRedisCommandError, isRedisUnavailable } from '../redis/index.js'
import { HoldfastError, isHoldfastError } from '../shared/errors.js'

/**
 * The session may well exist, but nobody can tell now: answer 503, never 401. Code
 * `ERR_HOLDFAST_SESSION_UNAVAILABLE`.
 */
export class SessionUnavailableError extends HoldfastError {
  override readonly name = 'SessionUnavailableError' as const
  /** For error handlers that read it, as those of Express do. */
  readonly status = 503
  /** `outage`, `save`, `destroy`, `conflict` or `unknown-key`. */
  readonly reason: string

  constructor(reason: string, problem: string) {
    super('ERR_HOLDFAST_SESSION_UNAVAILABLE', `The session is unavailable: ${problem}`)
    this.reason = reason
  }
}

/** True where the reason is an outage and not the session itself. */
export function isSessionUnavailable(error: unknown): boolean {
  return (
    isRedisUnavailable(error) ||
    isRedisCommandError(error) ||
    (isHoldfastError(error) && error.code === 'ERR_HOLDFAST_SESSION_UNAVAILABLE')
  )
}

/** The session ended while it was in use. Code `ERR_HOLDFAST_SESSION_ENDED`. */
export class SessionEndedError extends HoldfastError {
  override readonly name = 'SessionEndedError' as const
  /** For error handlers that read it, as those of Express do. */
  readonly status = 401

  constructor() {
    super('ERR_HOLDFAST_SESSION_ENDED', 'The session has ended')
  }
}

/** The session's data exceeds `maxBytes`. Code `ERR_HOLDFAST_SESSION_TOO_LARGE`. */
export class SessionTooLargeError extends HoldfastError {
  override readonly name = 'SessionTooLargeError' as const
  readonly bytes: number
  readonly maxBytes: number
  /** The largest top-level keys with their bytes, largest first. */
  readonly largest: readonly (readonly [key: string, bytes: number])[]

  constructor(bytes: number, maxBytes: number, largest: readonly (readonly [string, number])[]) {
    const keys = largest.map(([key, size]) => `${JSON.stringify(key.slice(0, 60))} (${size})`).join(', ')
    super('ERR_HOLDFAST_SESSION_TOO_LARGE', `The session has ${bytes} bytes of at most ${maxBytes}: ${keys}`)
    this.bytes = bytes
    this.maxBytes = maxBytes
    this.largest = largest
  }
}

/** The user has as many sessions as `maxPerUser` allows. Code `ERR_HOLDFAST_SESSION_LIMIT`. */
export class TooManySessionsError extends HoldfastError {
  override readonly name = 'TooManySessionsError' as const
  /** For error handlers that read it, as those of Express do. */
  readonly status = 409

  constructor(most: number) {
    super('ERR_HOLDFAST_SESSION_LIMIT', `The user has ${most} sessions, which is the most allowed`)
  }
}
