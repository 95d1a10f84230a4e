import { cacheEnvironment } from '../cache/environment.js'
import type { RedisManager } from '../redis/index.js'
import type { Awaitable } from '../shared/awaitable.js'
import { type Duration, toMs } from '../shared/duration.js'
import type { Environment } from '../shared/environment.js'
import {
  aBoolean,
  aDuration,
  aFunction,
  aManager,
  anInteger,
  anObject,
  arrayOf,
  aString,
  checkOptions,
  either,
  oneOf,
  type Rule,
  type Rules,
  requireOptions,
} from '../shared/options.js'
import type { AskedRoute } from './asked.js'
import type { MarkOptions } from './marks.js'
import type { RouteFacts } from './policy.js'
import { type KeyedParameter, keyedParameter } from './query.js'
import type { LocalCopies } from './responses.js'

/** Options of `responseCache()`; `Req` is the request that functions among them are given. */
export interface OptionsFor<Req> {
  readonly redis: RedisManager
  /**
   * How long responses are fresh here. `no-store`, `private`, `no-cache` and a shorter `s-maxage` of a response win;
   * its `max-age` and `Expires` are for browsers.
   * @default `CACHE_DEFAULT_TTL`, else only responses that state their own freshness are stored
   */
  readonly ttl?: Duration | undefined
  /** Labels for `invalidateTags`. @default none */
  readonly tags?: readonly string[] | ((req: Req) => Awaitable<readonly string[]>) | undefined
  /**
   * Who or what, besides the URL, the response is for: a user id, a plan. With it requests that carry credentials are
   * cached, each under its own key. `null` leaves a request uncached. @default none
   */
  readonly key?: ((req: Req) => Awaitable<string | readonly string[] | null>) | undefined
  /**
   * `'bypass'`: a request with cookies is given, and leaves behind, only responses that say `public`. `'ignore'`: the
   * handler does not look at cookies. @default 'bypass'
   */
  readonly cookies?: 'bypass' | 'ignore' | undefined
  /** With a `ttl`: stores also what says `no-store`, `private` or `no-cache`. Never `Set-Cookie`. @default false */
  readonly override?: boolean | undefined
  /** Without a `ttl`: guess a lifetime from Last-Modified where a response states none (RFC 9111 §4.2.2). @default false */
  readonly heuristics?: boolean | undefined
  /**
   * Without a `ttl`: stores errors that state their freshness too, as gateways want it; else of errors only 404, 405,
   * 410, 414 and 501, since an error handler answers with whatever freshness was set before. @default false
   */
  readonly storeErrors?: boolean | undefined
  /**
   * Parameters of the query that are not part of the key, and that the handler does not see on a miss: `'utm_*'`,
   * `'gclid'`. A last `*` stands for any ending. @default none
   */
  readonly ignoreQuery?: readonly string[] | undefined
  /** The only parameters that are part of the key and that the handler sees on a miss. @default all */
  readonly allowQuery?: readonly string[] | undefined
  /** How long a stale response is served while one request renews it, unless the response says so. @default 0 */
  readonly staleWhileRevalidate?: Duration | undefined
  /** How long a stale response stands in for 500, 502, 503 and 504, unless the response says so. @default 0 */
  readonly staleIfError?: Duration | undefined
  /**
   * Requests for what another is being answered with wait so long for that answer, in all processes; then they run the
   * handler themselves. `false`: each runs it at once. @default '5s'
   */
  readonly coalesce?: Duration | false | undefined
  /**
   * Keeps up to 32 MiB of what is asked for in this process too, told by Redis of every change; a hit then asks nobody.
   * An invalidation reaches other processes as soon as Redis has told them, not before it is answered.
   * @default false
   */
  readonly local?: boolean | undefined
  /**
   * Keeps bodies of text, JSON and the like, from 1 KiB to 8 MiB, in Brotli and gzip too: each is made once in the
   * background, after the first hit whose client accepts it, and later hits are sent it without compressing anything.
   * @default false
   */
  readonly compress?: boolean | undefined
  /** Headers that say how the request went. @default all */
  readonly headers?: MarkOptions | undefined
  /** Longest body that is stored, in bytes; longer ones pass through. @default 1048576 */
  readonly maxBytes?: number | undefined
  /** Stored of one resource that varies by request headers; the oldest make room. @default 100 */
  readonly maxVariants?: number | undefined
  /** Caches of one namespace share their responses and tags. @default 'default' */
  readonly namespace?: string | undefined
  /** Read instead of `process.env`. */
  readonly env?: Environment | undefined
}

const aParameter: Rule = {
  expected: 'a name, with "*" only at its end',
  accepts: (value) => typeof value === 'string' && /^(?:[^*[\].&=#]+\*?|\*)$/.test(value),
}

const rules: Rules<OptionsFor<never>> = {
  redis: aManager,
  ttl: aDuration(1),
  tags: either(aFunction, arrayOf(aString)),
  key: aFunction,
  cookies: oneOf('bypass', 'ignore'),
  maxBytes: anInteger(1, 512 * 1024 * 1024),
  override: aBoolean,
  heuristics: aBoolean,
  storeErrors: aBoolean,
  ignoreQuery: arrayOf(aParameter),
  allowQuery: arrayOf(aParameter),
  staleWhileRevalidate: aDuration(),
  staleIfError: aDuration(),
  coalesce: either(oneOf(false), aDuration(1, 60_000)),
  local: aBoolean,
  compress: aBoolean,
  headers: anObject,
  maxVariants: anInteger(1, 10_000),
  namespace: aString,
  env: anObject,
}

/** Tags of a response that states its own freshness live at least this long. */
const LONGEST_STATED_MS = 24 * 60 * 60 * 1000

const LOCAL: LocalCopies = { maxBytes: 32 * 1024 * 1024, maxAgeMs: 30_000 }

/** The options with their defaults, as the parts of the cache want them. */
export interface Settings<Req> {
  readonly redis: RedisManager
  readonly namespace: string
  readonly disabled: boolean
  readonly development: boolean
  readonly tags: NonNullable<OptionsFor<Req>['tags']>
  readonly key: OptionsFor<Req>['key']
  readonly parameter: KeyedParameter | undefined
  readonly plans: AskedRoute
  readonly route: RouteFacts
  readonly tagLifetimeMs: number
  /** 0: nobody waits for another. */
  readonly waitMs: number
  readonly local: LocalCopies | undefined
  readonly compress: boolean
  readonly marks: MarkOptions
  readonly maxBytes: number
  readonly maxVariants: number
}

/** Throws a `ConfigurationError` for options out of their range. */
export function settingsOf<Req>(options: OptionsFor<Req>): Settings<Req> {
  checkOptions('responseCache', options, rules)
  requireOptions('responseCache', options, rules, 'redis')
  const { defaultTtl, disabled } = cacheEnvironment(options.env)
  const { redis, ttl: given = defaultTtl, tags = [], key, cookies = 'bypass', coalesce = '5s' } = options
  const { override = false, heuristics = false, storeErrors = false, local = false, compress = false } = options
  const { maxBytes = 1024 * 1024, maxVariants = 100, namespace = 'default', headers: marks = {} } = options
  const { staleWhileRevalidate = 0, staleIfError = 0, ignoreQuery: ignore, allowQuery: allow } = options
  const ttl = given === undefined ? undefined : toMs(given)
  const stale = { staleWhileRevalidate: toMs(staleWhileRevalidate), staleIfError: toMs(staleIfError) }
  return {
    ...{ redis, namespace, disabled, tags, key, marks, maxBytes, maxVariants, compress },
    development: (options.env ?? process.env).NODE_ENV !== 'production',
    parameter: keyedParameter({ ignore, allow }),
    plans: { keyed: key !== undefined, ignoreCookies: cookies === 'ignore', explicit: ttl !== undefined },
    route: { ttl, override: override && ttl !== undefined, heuristics, storeErrors, ...stale },
    tagLifetimeMs: (ttl ?? LONGEST_STATED_MS) + Math.max(stale.staleWhileRevalidate, stale.staleIfError),
    waitMs: coalesce === false ? 0 : toMs(coalesce),
    local: local && !disabled ? LOCAL : undefined,
  }
}
