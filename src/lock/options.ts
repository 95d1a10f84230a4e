import type { RedisManager } from '../redis/index.js'
import { type Duration, toMs } from '../shared/duration.js'
import { aDuration, aManager, anInteger, anObject, type Rule, type Rules, show } from '../shared/options.js'
import { LockValueError } from './errors.js'

export interface LocksOptions {
  readonly redis: RedisManager
  /** For how long a lock is granted where a call does not say. At least 50 ms. @default '10s' */
  readonly ttl?: Duration | undefined
  /** How long to wait for others to let go where a call does not say; 0 tries once. @default '5s' */
  readonly wait?: Duration | undefined
  /** For how long `withLock` extends a lock in all where a call does not say. @default '5m' */
  readonly maxHold?: Duration | undefined
}

export interface AcquireOptions {
  /** For how long the lock is granted, and by how much each extension renews it. At least 50 ms. @default `ttl` of createLocks */
  readonly ttl?: Duration | undefined
  /** How long to wait for others to let go; 0 tries once. @default `wait` of createLocks */
  readonly wait?: Duration | undefined
  /**
   * Extends the lock by itself for as long, in all, as this. 0 never extends.
   * @default 0, and in `withLock` the `maxHold` of createLocks
   */
  readonly maxHold?: Duration | undefined
  /** Gives up waiting; in `withLock` the section's own signal follows it too. */
  readonly signal?: AbortSignal | undefined
  /** How many may hold the lock at the same time: a semaphore. Must be equal wherever the key is used. @default 1 */
  readonly holders?: number | undefined
}

/** Options of one call, checked and complete. */
export interface Claim {
  readonly ttl: number
  readonly wait: number
  readonly maxHold: number
  readonly signal: AbortSignal | undefined
  readonly holders: number
}

export type Defaults = Pick<Claim, 'ttl' | 'wait' | 'maxHold'>

const aTtl = aDuration(50)

export const locksRules: Rules<LocksOptions> = {
  redis: aManager,
  ttl: aTtl,
  wait: aDuration(),
  maxHold: aDuration(),
}

const claimRules: Rules<AcquireOptions> = {
  ttl: aTtl,
  wait: aDuration(),
  maxHold: aDuration(),
  signal: {
    expected: 'an AbortSignal',
    accepts: (value) => anObject.accepts(value) && typeof (value as AbortSignal).throwIfAborted === 'function',
  },
  holders: anInteger(1, 100_000),
}

export function aKey(key: unknown): string {
  if (typeof key !== 'string' || key === '')
    throw new LockValueError('key', `must be a non-empty string, got ${kindOf(key)}`)
  return key
}

export function aClaim(given: Duration | AcquireOptions, defaults: Defaults): Claim {
  const options: AcquireOptions = typeof given === 'object' && given !== null ? given : { ttl: given }
  for (const [name, value] of Object.entries(options)) {
    const rule: Rule | undefined = Object.hasOwn(claimRules, name)
      ? claimRules[name as keyof AcquireOptions]
      : undefined
    if (rule === undefined) throw new LockValueError(name, 'is not an option')
    if (value !== undefined && !rule.accepts(value)) {
      throw new LockValueError(name, `must be ${rule.expected}, got ${show(value)}`)
    }
  }
  const { ttl = defaults.ttl, wait = defaults.wait, maxHold = defaults.maxHold, signal, holders = 1 } = options
  return { ttl: wholeMs(ttl), wait: toMs(wait), maxHold: toMs(maxHold), signal, holders }
}

/** Extensions, too, come from the application's code. */
export function aTtlOf(given: Duration): number {
  if (!aTtl.accepts(given)) throw new LockValueError('ttl', `must be ${aTtl.expected}, got ${show(given)}`)
  return wholeMs(given)
}

/** Redis takes no fractions of a millisecond. */
function wholeMs(given: Duration): number {
  return Math.floor(toMs(given))
}

function kindOf(value: unknown): string {
  return value === '' ? 'an empty one' : typeof value
}
