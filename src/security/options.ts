import type { RedisManager } from '../redis/index.js'
import { isAddressRange } from '../shared/address.js'
import type { Duration } from '../shared/duration.js'
import {
  aDuration,
  aFunction,
  aManager,
  anInteger,
  arrayOf,
  aString,
  either,
  type Rule,
  type Rules,
  secret,
} from '../shared/options.js'
import { DETECTOR_DEFAULTS } from './detectors/defaults.js'
import type { GuardOptions } from './guard.js'
import type { IntegrityOptions } from './integrity.js'
import { isSinkOption, type SinkOption } from './sink.js'
import { isOwnEventType, type OwnEventType, type SecurityLevel } from './vocabulary.js'

export interface SecurityLogOptions<Own extends OwnEventType = never> extends GuardOptions {
  readonly redis: RedisManager
  /** Shown as `app` in every event. */
  readonly app?: string | undefined
  /** Your own events, each with a namespace, and their level: `{ 'shop.coupon_abuse': 'warn' }`. */
  readonly events?: { readonly [Name in Own]: SecurityLevel } | undefined
  /**
   * At least 16 characters, the same in every process. Keys the digests that stand for account names and sessions;
   * without it whoever reads Redis can try names against them.
   */
  readonly secret?: string | undefined
  /** Receives every event at once, whatever Redis does. @default 'console', JSON lines on standard output */
  readonly sink?: SinkOption | undefined
  /** More names of fields whose values are withheld. */
  readonly redact?: readonly string[] | undefined
  /** Most events kept for Redis while it is away. @default 10000 */
  readonly maxBuffered?: number | undefined
  /** Most bytes kept for Redis while it is away. @default 8388608 (8 MiB) */
  readonly maxBufferedBytes?: number | undefined
  /** Longest wait of an event for the next batch. @default '50ms' */
  readonly flushInterval?: Duration | undefined
  /** Streams the log is spread over; equal in every process. More than one helps a Cluster only. @default 1 */
  readonly shards?: number | undefined
  /** Most security events kept per shard, give or take a hundred. @default 100000 */
  readonly maxEvents?: number | undefined
  /** Most audit events kept per shard. @default 100000 */
  readonly maxAuditEvents?: number | undefined
  /** Most events kept in the stream of one user. @default 200 */
  readonly maxUserEvents?: number | undefined
  /** How long security events are kept. @default '90d' */
  readonly retention?: Duration | undefined
  /** How long events recorded with `audit: true` are kept. @default '365d' */
  readonly auditRetention?: Duration | undefined
  /** How long the events of one user are kept in that user's stream. @default '90d' */
  readonly userRetention?: Duration | undefined
  /**
   * A file for events that are still waiting when the process ends, read again at the next start; mode 0600. One path
   * per machine is enough. @default none
   */
  readonly spillPath?: string | undefined
  /** Signs every event, so that `verify()` finds what was altered, removed or reordered in Redis. @default none */
  readonly integrity?: IntegrityOptions | undefined
  /** The clock, in ms; for tests. @default Date.now */
  readonly now?: (() => number) | undefined
}

const LEVELS: readonly unknown[] = ['info', 'warn', 'critical']
const TEN_YEARS = 10 * 365 * 86_400_000

const aSecret: Rule = secret({
  expected: 'a text of at least 16 characters',
  accepts: (value) => typeof value === 'string' && value.length >= 16,
})

export const logRules: Rules<SecurityLogOptions<OwnEventType>> = {
  redis: aManager,
  app: aString,
  events: {
    expected: "an object such as { 'shop.coupon_abuse': 'warn' }, every name with a namespace",
    accepts: (value) =>
      typeof value === 'object' &&
      value !== null &&
      Object.entries(value).every(([name, level]) => isOwnEventType(name) && LEVELS.includes(level)),
  },
  secret: aSecret,
  sink: { expected: "'console', a function, or a logger with info, warn and error", accepts: isSinkOption },
  redact: arrayOf(aString),
  maxBuffered: anInteger(1, 10_000_000),
  maxBufferedBytes: anInteger(16_384),
  flushInterval: aDuration(0, 60_000),
  shards: anInteger(1, 64),
  maxEvents: anInteger(1),
  maxAuditEvents: anInteger(1),
  maxUserEvents: anInteger(1),
  retention: aDuration(1000, TEN_YEARS),
  auditRetention: aDuration(1000, TEN_YEARS),
  userRetention: aDuration(1000, TEN_YEARS),
  spillPath: aString,
  integrity: {
    expected: '{ keys: [{ id, key }] } with keys of at least 32 characters, and onSeal, sealEvery',
    secret: true,
    accepts: (value) =>
      isObject(value) &&
      arrayOf(anIntegrityKey, 1).accepts(value.keys) &&
      (value.onSeal === undefined || isFunction(value.onSeal)) &&
      (value.sealEvery === undefined || aDuration(1000).accepts(value.sealEvery)),
  },
  now: aFunction,
  detectors: {
    expected: `false, or settings by name (${Object.keys(DETECTOR_DEFAULTS).join(', ')})`,
    accepts: (value) => value === false || (isObject(value) && Object.entries(value).every(isDetectorSetting)),
  },
  ownDetectors: arrayOf({
    expected: 'detectors with name, measure and judge',
    accepts: (value) =>
      isObject(value) && aString.accepts(value.name) && isFunction(value.measure) && isFunction(value.judge),
  }),
  enforce: arrayOf(aString),
  allow: either(aFunction, arrayOf({ expected: 'addresses or CIDR networks', accepts: isAddressRange })),
  honeypots: arrayOf({
    expected: 'paths such as /wp-login.php',
    accepts: (value) => typeof value === 'string' && value.startsWith('/'),
  }),
  geo: aFunction,
  onAlert: aFunction,
  webhook: {
    expected: '{ url, secret } with an http(s) URL and a secret of at least 16 characters',
    secret: true,
    accepts: (value) =>
      isObject(value) &&
      typeof value.url === 'string' &&
      /^https?:$/.test(URL.canParse(value.url) ? new URL(value.url).protocol : '') &&
      aSecret.accepts(value.secret) &&
      (value.retries === undefined || anInteger(0, 20).accepts(value.retries)),
  },
  onRevoke: aFunction,
  blockFor: aDuration(1000, TEN_YEARS),
  maxBlock: aDuration(1000, TEN_YEARS),
  maxCounters: anInteger(100),
}

const anIntegrityKey: Rule = {
  expected: '{ id, key }',
  accepts: (value) =>
    isObject(value) &&
    typeof value.id === 'string' &&
    /^[\w-]{1,40}$/.test(value.id) &&
    typeof value.key === 'string' &&
    value.key.length >= 32,
}

function isDetectorSetting([name, value]: readonly [string, unknown]): boolean {
  if (!Object.hasOwn(DETECTOR_DEFAULTS, name)) return false
  if (value === false || value === undefined) return true
  if (!isObject(value)) return false
  const { threshold, window, cooldown, ...rest } = value
  const aTime = aDuration(1000, TEN_YEARS)
  const times = [window, cooldown].every((time) => time === undefined || aTime.accepts(time))
  return times && (threshold === undefined || anInteger(1).accepts(threshold)) && Object.keys(rest).length === 0
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isFunction(value: unknown): boolean {
  return typeof value === 'function'
}
