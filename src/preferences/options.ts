import type { RedisManager } from '../redis/index.js'
import type { Duration } from '../shared/duration.js'
import { aDuration, aManager, anInteger, anObject, aString, type Rules } from '../shared/options.js'

export interface LocalTierOptions {
  /** How long a value is believed without asking Redis, at most 1 minute. @default '5s' */
  readonly ttl?: Duration | undefined
  /** Most bytes of values kept in this process. @default 4194304 (4 MiB) */
  readonly maxBytes?: number | undefined
}

export interface PreferencesOptions<Values extends object> {
  readonly redis: RedisManager
  /** Every preference there is, with the value of who has not chosen. JSON only. */
  readonly defaults: Values
  /** Keeps several sets of preferences apart. @default 'default' */
  readonly name?: string | undefined
  /**
   * What a value must satisfy, by key. Without one it must be of the default's kind: a string, a number, a boolean, an
   * array or an object; anything where the default is null.
   */
  readonly validate?: { readonly [Key in keyof Values]?: ((value: unknown) => boolean) | undefined } | undefined
  /** Largest value as JSON, in bytes. @default 4096 */
  readonly maxBytes?: number | undefined
  /** The tier in this process; `false` asks Redis every time. */
  readonly local?: LocalTierOptions | false | undefined
}

export const preferencesRules: Rules<PreferencesOptions<object>> = {
  redis: aManager,
  defaults: {
    expected: 'an object with 1 to 200 preferences',
    accepts: (value) => {
      const count = anObject.accepts(value) && !Array.isArray(value) ? Object.keys(value as object).length : 0
      return count >= 1 && count <= 200
    },
  },
  name: aString,
  validate: {
    expected: 'an object of functions',
    accepts: (value) =>
      anObject.accepts(value) &&
      Object.values(value as object).every((each) => ['function', 'undefined'].includes(typeof each)),
  },
  maxBytes: anInteger(2, 1024 * 1024),
  local: { expected: 'false or an object', accepts: (value) => value === false || anObject.accepts(value) },
}

export const localRules: Rules<LocalTierOptions> = {
  ttl: aDuration(0, 60_000),
  maxBytes: anInteger(0),
}
