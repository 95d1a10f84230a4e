import { HoldfastError, isError, isHoldfastError } from '../shared/errors.js'
import { replyKind, replyText, withoutArguments } from './describe.js'

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
    super('ERR_HOLDFAST_REDIS_UNAVAILABLE', `Redis is unavailable for ${operation}: ${reason}`, causedBy(cause))
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
    const kind = replyKind(cause.message)
    super('ERR_HOLDFAST_REDIS_COMMAND', `Redis refused ${operation}: ${kind}`, causedBy(cause))
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

/** `outage`: Redis' fault, counts for the breaker. `reply`: an answer. `bug`: did not come from Redis. */
export type Failure = 'outage' | 'reply' | 'bug'

/** Answers that say the server cannot work now, whatever the command. */
const OUTAGE_REPLY = /^(LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|NOREPLICAS|BUSY|UNBLOCKED)\b/
const OUTAGE_NAME = /^(AbortError|MaxRetriesPerRequestError|ClusterAllFailedError|ParserError)$/
const OUTAGE_CODE = /^(ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_|EHOST|ENET|ERR_STREAM|ERR_TLS|ERR_SSL)/
/** ioredis throws these as plain errors, as application code does its own. */
const OUTAGE_MESSAGE =
  /^(Connection is closed|Stream isn't writeable|Command timed out|Socket timeout|Node is disconnected|None of startup nodes|Cluster isn't ready|Too many Cluster redirections)/

export function classify(error: unknown): Failure {
  if (isRedisUnavailable(error)) return 'outage'
  if (!isError(error) || isHoldfastError(error)) return 'bug'
  if (error.name === 'ReplyError') return OUTAGE_REPLY.test(replyText(error.message)) ? 'outage' : 'reply'
  const { code } = error as NodeJS.ErrnoException
  const outage =
    OUTAGE_NAME.test(error.name) ||
    OUTAGE_MESSAGE.test(error.message) ||
    (typeof code === 'string' && OUTAGE_CODE.test(code))
  return outage ? 'outage' : 'bug'
}

/** What a caller that fails closed is given. A bug in its own code comes back as it was thrown. */
export function asRedisError(operation: string, reason: UnavailableReason, error: unknown): unknown {
  if (isHoldfastError(error)) return error
  switch (classify(error)) {
    case 'outage':
      return new RedisUnavailableError(operation, reason, error)
    case 'reply':
      return new RedisCommandError(operation, error as Error)
    case 'bug':
      return error
  }
}

function causedBy(cause: unknown): ErrorOptions | undefined {
  return isError(cause) ? { cause: withoutArguments(cause) } : undefined
}
