import { HoldfastError, isHoldfastError } from '../shared/errors.js'

/** Others held the lock for as long as the caller was willing to wait. Code `ERR_HOLDFAST_LOCK_TIMEOUT`. */
export class LockTimeoutError extends HoldfastError {
  override readonly name = 'LockTimeoutError' as const
  /** Milliseconds that were spent on waiting. */
  readonly waitedMs: number

  constructor(waitedMs: number) {
    super('ERR_HOLDFAST_LOCK_TIMEOUT', `The lock was held by others for the ${Math.round(waitedMs)} ms of waiting`)
    this.waitedMs = waitedMs
  }
}

/**
 * Why a lock is no longer known to be held. `expired`: its time ran out, because nothing extended it, Redis was away, or
 * the process stood still · `max-hold`: it was extended for as long as allowed · `gone`: Redis no longer has it
 * (evicted, deleted, restarted empty) · `released`: by its own holder · `closed`: `locks.close()` was called.
 */
export type LockLossReason = 'expired' | 'max-hold' | 'gone' | 'released' | 'closed'

/** The lock may be held by somebody else: what it protects must not be touched. Code `ERR_HOLDFAST_LOCK_LOST`. */
export class LockLostError extends HoldfastError {
  override readonly name = 'LockLostError' as const
  readonly reason: LockLossReason

  constructor(reason: LockLossReason) {
    super('ERR_HOLDFAST_LOCK_LOST', `The lock is no longer held: ${reason}`)
    this.reason = reason
  }
}

/** What was given to a method of the locks is no key, duration or number of holders. Code `ERR_HOLDFAST_LOCK_VALUE`. */
export class LockValueError extends HoldfastError {
  override readonly name = 'LockValueError' as const

  constructor(name: string, problem: string) {
    super('ERR_HOLDFAST_LOCK_VALUE', `locks: "${name}" ${problem}`)
  }
}

/** True for {@link LockTimeoutError} of any installed copy of Holdfast. */
export function isLockTimeout(error: unknown): error is LockTimeoutError {
  return isHoldfastError(error) && error.code === 'ERR_HOLDFAST_LOCK_TIMEOUT'
}

/** True for {@link LockLostError} of any installed copy of Holdfast. */
export function isLockLost(error: unknown): error is LockLostError {
  return isHoldfastError(error) && error.code === 'ERR_HOLDFAST_LOCK_LOST'
}
