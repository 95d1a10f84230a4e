import type { RedisManager } from '../redis/index.js'
import type { Duration } from '../shared/duration.js'
import {
  aDuration,
  aFunction,
  aManager,
  anInteger,
  arrayOf,
  aString,
  either,
  oneOf,
  type Rule,
  type Rules,
  secret,
} from '../shared/options.js'
import { type EncryptionOptions, isEncryption } from './encryption.js'
import type { SessionFallback } from './fallback.js'

/** Options of sessions themselves, with or without HTTP. */
export interface SessionCoreOptions {
  readonly redis: RedisManager
  /** A session ends when it was not used for this long. @default '30m', or the cookie's `maxAge` */
  readonly ttl?: Duration | undefined
  /** A session ends this long after its log-in, used or not. @default '8h', or `ttl` where that is longer */
  readonly absoluteTtl?: Duration | undefined
  /** The idle time is restarted at most this often. @default '1m', or a tenth of `ttl` where that is less */
  readonly touchAfter?: Duration | undefined
  /** Most bytes of JSON in a session. @default 65536 */
  readonly maxBytes?: number | undefined
  /** Seals what Redis keeps with AES-256-GCM. @default stored as JSON */
  readonly encryption?: EncryptionOptions | undefined
  /** Most sessions of one user. @default no limit */
  readonly maxPerUser?: number | undefined
  /**
   * What a log-in above `maxPerUser` does: end the session that began first, or the one that was not used for the
   * longest time, or fail. @default 'oldest'
   */
  readonly onExcess?: 'oldest' | 'idle' | 'reject' | undefined
  /**
   * Keys the tags that stand for users in cookies and Redis, so that reading Redis does not let one test guesses of
   * user ids. Must never change: the sessions of before would not be found. @default unkeyed
   */
  readonly tagKey?: string | undefined
  /** Takes over sessions that a plain connect-redis stored under this prefix, such as `'sess:'`. @default none */
  readonly migrateFrom?: string | undefined
  /** Judges access tokens while Redis is away; see {@link jwt}. @default none */
  readonly fallback?: SessionFallback | undefined
  /** An outage longer than this ends the use of `fallback`, which cannot know of revocations elsewhere. @default '15m' */
  readonly fallbackFor?: Duration | undefined
}

export const aSecret: Rule = secret(
  either(aString, { ...arrayOf(aString, 1), expected: 'an array of at least one, the first of which signs' }),
)

const aLifetime = aDuration(100, 10 * 365 * 86_400_000)

export const coreRules: Rules<SessionCoreOptions> = {
  redis: aManager,
  ttl: aLifetime,
  absoluteTtl: aLifetime,
  touchAfter: aDuration(0),
  maxBytes: anInteger(1),
  encryption: secret({
    expected: '{ keys: [{ id, key }] } with ids of letters, digits, "_" or "-" and keys of 32 bytes or their base64',
    accepts: isEncryption,
  }),
  maxPerUser: anInteger(1, 1000),
  onExcess: oneOf('oldest', 'idle', 'reject'),
  tagKey: secret(aString),
  migrateFrom: aString,
  fallback: aFunction,
  fallbackFor: aDuration(0),
}
