import type { RedisManager } from '../redis/index.js'
import type { Duration } from '../shared/duration.js'
import type { Environment } from '../shared/environment.js'
import {
  aBoolean,
  aDuration,
  aManager,
  anInteger,
  anObject,
  arrayOf,
  aString,
  either,
  oneOf,
  type Rule,
  type Rules,
} from '../shared/options.js'
import type { CacheCodec } from './codec.js'
import { type CompressionAlgorithm, isSupported } from './compression.js'
import type { WarmLoader } from './warm.js'

/** Freshness, for a whole cache or for one call. */
export interface FreshnessOptions {
  /** How long a value is fresh. @default `CACHE_DEFAULT_TTL`, else '5m' */
  readonly ttl?: Duration | undefined
  /** For a computation that returned `null`. @default as `ttl` */
  readonly negativeTtl?: Duration | undefined
  /** Last part of the ttl in which a read renews the value in the background; 0 for never. @default 0.2 */
  readonly refreshAhead?: number | undefined
  /** After its end a value is still served this long, while it is renewed. @default 0 */
  readonly staleWhileRevalidate?: Duration | undefined
  /** After its end a value is still served this long where computing fails. @default 0 */
  readonly staleIfError?: Duration | undefined
  /** Part of the ttl by which ends are spread, earlier only. @default 0.1 */
  readonly jitter?: number | undefined
  /** XFetch: renews by chance before the end, the sooner the dearer the computation; 1 is usual. @default 0 */
  readonly xfetch?: number | undefined
  /** Who waits for another's computation computes for itself after this. @default '5s' */
  readonly waitTimeout?: Duration | undefined
}

export interface SetOptions extends FreshnessOptions {
  /** Labels for `invalidateTags`. @default none */
  readonly tags?: readonly string[] | undefined
}

export interface CacheOptions extends FreshnessOptions {
  readonly redis: RedisManager
  /** Letters, digits, `_ . -`. Caches of one namespace share entries and tags. @default 'default' */
  readonly namespace?: string | undefined
  /**
   * Copies in this process, kept in step with Redis by client tracking, else by pub/sub. Another process' change is
   * seen within milliseconds instead of at once. @default false
   */
  readonly local?:
    | boolean
    | {
        /** @default 33554432 */
        readonly maxBytes?: number | undefined
        /** Longest time a copy is served without asking Redis. @default '30s' */
        readonly maxAge?: Duration | undefined
        /** @default 'tracking' */
        readonly mode?: 'tracking' | 'pubsub' | undefined
      }
    | undefined
  /** @default false */
  readonly compression?:
    | boolean
    | CompressionAlgorithm
    | {
        /** @default 'gzip' */
        readonly algorithm?: CompressionAlgorithm | undefined
        /** Shorter values stay as they are, in bytes. @default 1024 */
        readonly threshold?: number | undefined
      }
    | undefined
  /** `'json'` refuses what JSON would change; `'v8'` carries dates, maps, big integers. @default 'json' */
  readonly codec?: 'json' | 'v8' | CacheCodec | undefined
  /** While Redis is away: `'memory'` remembers in this process, dropped on its return. @default 'none' */
  readonly fallback?:
    | 'none'
    | 'memory'
    | {
        /** @default 33554432 */
        readonly maxBytes?: number | undefined
      }
    | undefined
  /** Entries written under another version are misses: change it with the shape of your values. @default none */
  readonly version?: string | undefined
  /** Longer values are returned but not stored, in bytes; compressed ones may not inflate to more. @default 4194304 */
  readonly maxBytes?: number | undefined
  /** A process that dies while computing blocks the key this long. @default '5s' */
  readonly leaseTime?: Duration | undefined
  /** Most renewals in the background at one time. @default 10 */
  readonly maxRefreshes?: number | undefined
  /** Renews keys read at least `minReads` times since they were stored before they end, without a read. @default false */
  readonly adaptive?:
    | boolean
    | {
        /** @default 5 */
        readonly minReads?: number | undefined
        /** @default 1000 */
        readonly maxKeys?: number | undefined
      }
    | undefined
  /** Loaders that {@link Cache.warm} runs; at boot too with `onStart` (`CACHE_WARM_ON_START`), and every `every`. */
  readonly warm?:
    | {
        readonly loaders: readonly WarmLoader[]
        readonly onStart?: boolean | undefined
        readonly every?: Duration | undefined
        readonly concurrency?: number | undefined
      }
    | undefined
  /** Read instead of `process.env`. */
  readonly env?: Environment | undefined
}

const aPart: Rule = {
  expected: 'a number from 0 to 1',
  accepts: (value) => typeof value === 'number' && value >= 0 && value <= 1,
}

const freshnessRules: Rules<FreshnessOptions> = {
  ttl: aDuration(1),
  negativeTtl: aDuration(1),
  refreshAhead: aPart,
  staleWhileRevalidate: aDuration(),
  staleIfError: aDuration(),
  jitter: aPart,
  xfetch: { expected: 'a number of 0 or more', accepts: (value) => typeof value === 'number' && value >= 0 },
  waitTimeout: aDuration(),
}

export const setRules: Rules<SetOptions> = { ...freshnessRules, tags: arrayOf(aString) }

const anAlgorithm: Rule = {
  expected: "'gzip', 'brotli' or, where this Node has it, 'zstd'",
  accepts: (value) => (value === 'gzip' || value === 'brotli' || value === 'zstd') && isSupported(value),
}

/** An object whose named properties, where given, keep their rules. */
function shape(expected: string, rules: Readonly<Record<string, Rule>>): Rule {
  return {
    expected,
    accepts: (value) =>
      typeof value === 'object' &&
      value !== null &&
      Object.entries(value).every(
        ([name, each]) => Object.hasOwn(rules, name) && (each === undefined || rules[name]?.accepts(each) === true),
      ),
  }
}

export const cacheRules: Rules<CacheOptions> = {
  ...freshnessRules,
  redis: aManager,
  namespace: {
    expected: '1 to 64 letters, digits, "_", "." or "-"',
    accepts: (value) => typeof value === 'string' && /^[\w.-]{1,64}$/.test(value),
  },
  local: either(
    aBoolean,
    shape('{ maxBytes, maxAge, mode }', {
      maxBytes: anInteger(1),
      maxAge: aDuration(1),
      mode: oneOf('tracking', 'pubsub'),
    }),
  ),
  compression: either(
    aBoolean,
    anAlgorithm,
    shape('{ algorithm, threshold }', { algorithm: anAlgorithm, threshold: anInteger(0) }),
  ),
  codec: either(oneOf('json', 'v8'), {
    expected: 'a codec with name, encode and decode',
    accepts: (value) => {
      const codec = value as Partial<CacheCodec> | null
      return aString.accepts(codec?.name) && typeof codec?.encode === 'function' && typeof codec.decode === 'function'
    },
  }),
  fallback: either(oneOf('none', 'memory'), shape('{ maxBytes }', { maxBytes: anInteger(1) })),
  version: aString,
  maxBytes: anInteger(1, 512 * 1024 * 1024),
  leaseTime: aDuration(50),
  maxRefreshes: anInteger(0),
  adaptive: either(aBoolean, shape('{ minReads, maxKeys }', { minReads: anInteger(1), maxKeys: anInteger(1) })),
  warm: shape('{ loaders, onStart, every, concurrency }', {
    loaders: arrayOf(anObject),
    onStart: aBoolean,
    every: aDuration(1000),
    concurrency: anInteger(1),
  }),
  env: anObject,
}
