import type { RedisManager } from '../redis/index.js'
import type { Duration } from '../shared/duration.js'
import {
  aDuration,
  aManager,
  anInteger,
  arrayOf,
  aString,
  either,
  type Rule,
  type Rules,
  secret,
} from '../shared/options.js'

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
}

export const aSecret: Rule = secret(
  either(aString, { ...arrayOf(aString, 1), expected: 'an array of at least one, the first of which signs' }),
)

export const coreRules: Rules<SessionCoreOptions> = {
  redis: aManager,
  ttl: aDuration(100, Number.MAX_SAFE_INTEGER),
  absoluteTtl: aDuration(100, Number.MAX_SAFE_INTEGER),
  touchAfter: aDuration(0),
  maxBytes: anInteger(1),
}
