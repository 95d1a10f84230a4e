export {
  isLockLost,
  isLockTimeout,
  type LockLossReason,
  LockLostError,
  LockTimeoutError,
  LockValueError,
} from './errors.js'
export type { LockOutcome } from './events.js'
export type { Lock } from './hold.js'
export { createLocks, type Locks } from './locks.js'
export type { AcquireOptions, LocksOptions } from './options.js'
