import { HoldfastError, isHoldfastError } from '../shared/errors.js'

/** Why Redis could not be used. */
export type UnavailableReason = 'connecting' | 'down' | 'degraded' | 'closed' | 'timeout' | 'lost' | 'overloaded'

/**
 * Redis did not answer in time or at all. Code `ERR_HOLDFAST_REDIS_UNAVAILABLE`. With reason `timeout` or `lost` the
 * command may or may not have run: the outcome is unknown.
 */
export class RedisUnavailableError extends HoldfastError {
  override readonly name = 'RedisUnavailableError' as const
  readonly operation: string
  readonly reason: UnavailableReason

  constructor(operation: string, reason: UnavailableReason, cause?: unknown) {
    super('ERR_HOLDFAST_REDIS_UNAVAILABLE', `Redis is unavailable for ${operation}: ${reason}`, causeOf(cause))
    this.operation = operation
    this.reason = reason
  }
}

/** Redis answered with an error (WRONGTYPE, OOM, NOPERM …). Code `ERR_HOLDFAST_REDIS_COMMAND`. */
export class RedisCommandError extends HoldfastError {
  override readonly name = 'RedisCommandError' as const
  readonly operation: string
  /** First word of the reply: `WRONGTYPE`, `OOM`, `NOPERM`, `ERR`. */
  readonly kind: string

  constructor(operation: string, cause: Error) {
    const kind = /^[A-Z]+/.exec(cause.message)?.[0] ?? 'ERR'
    super('ERR_HOLDFAST_REDIS_COMMAND', `Redis refused ${operation}: ${kind}`, causeOf(cause))
    this.operation = operation
    this.kind = kind
  }
}

/** True for {@link RedisUnavailableError} of any installed copy of Holdfast. */
export function isRedisUnavailable(error: unknown): error is RedisUnavailableError {
  return isHoldfastError(error) && error.code === 'ERR_HOLDFAST_REDIS_UNAVAILABLE'
}

/** True for {@link RedisCommandError} of any installed copy of Holdfast. */
export function isRedisCommandError(error: unknown): error is RedisCommandError {
  return isHoldfastError(error) && error.code === 'ERR_HOLDFAST_REDIS_COMMAND'
}

/** `outage`: Redis' fault, counts for the breaker. `reply`: an answer. `bug`: neither came from Redis. */
export type Failure = 'outage' | 'reply' | 'bug'

const OUTAGE_REPLY = /^(LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|NOREPLICAS)\b/

export function classify(error: unknown): Failure {
  if (!(error instanceof Error) || isHoldfastError(error)) return 'bug'
  if (error.name === 'ReplyError') return OUTAGE_REPLY.test(error.message) ? 'outage' : 'reply'
  if (/^(Type|Range|Reference|Syntax|URI|Eval)Error$/.test(error.name)) return 'bug'
  return 'outage'
}

/** ioredis hangs the command with all its arguments onto errors: values have no place in a log. */
function causeOf(cause: unknown): ErrorOptions | undefined {
  if (!(cause instanceof Error)) return undefined
  const copy = new Error(cause.message)
  copy.name = cause.name
  if (cause.stack !== undefined) copy.stack = cause.stack
  return { cause: copy }
}
