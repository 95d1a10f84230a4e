import type { Request, RequestHandler, Response } from 'express'
import { cacheEnvironment } from '../cache/environment.js'
import type { RedisManager } from '../redis/index.js'
import { asyncHandler } from '../shared/async-handler.js'
import { type Duration, toMs } from '../shared/duration.js'
import type { Environment } from '../shared/environment.js'
import {
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
  type Rules,
  requireOptions,
} from '../shared/options.js'
import { type CaptureHooks, capture } from './capture.js'
import { notModified } from './conditional.js'
import type { ResponseCacheOutcome } from './events.js'
import { storedHeaders, valuesOf } from './headers.js'
import { resourceKey, sharedAuthority, urlTag } from './key.js'
import { type BypassReason, lookup, type Refusal, storing } from './policy.js'
import { replay } from './replay.js'
import { Responses } from './responses.js'

type Awaitable<T> = T | Promise<T>

export interface ResponseCacheOptions {
  readonly redis: RedisManager
  /**
   * How long responses are fresh here. `no-store`, `private`, `no-cache` and a shorter `s-maxage` of a response win;
   * its `max-age` and `Expires` are for browsers.
   * @default `CACHE_DEFAULT_TTL`, else only responses that state their own freshness are stored
   */
  readonly ttl?: Duration | undefined
  /** Labels for {@link ResponseCacheMiddleware.invalidateTags}. @default none */
  readonly tags?: readonly string[] | ((req: Request) => Awaitable<readonly string[]>) | undefined
  /**
   * Who or what, besides the URL, the response is for: a user id, a plan. With it requests that carry credentials are
   * cached, each under its own key. `null` leaves a request uncached. @default none
   */
  readonly key?: ((req: Request) => Awaitable<string | readonly string[] | null>) | undefined
  /**
   * `'bypass'`: a request with cookies is given, and leaves behind, only responses that say `public`. `'ignore'`: the
   * handler does not look at cookies. @default 'bypass'
   */
  readonly cookies?: 'bypass' | 'ignore' | undefined
  /** Longest body that is stored, in bytes; longer ones pass through. @default 1048576 */
  readonly maxBytes?: number | undefined
  /** Caches of one namespace share their responses and tags. @default 'default' */
  readonly namespace?: string | undefined
  /** Read instead of `process.env`. */
  readonly env?: Environment | undefined
}

/** A handler, with the operations of the cache behind it. */
export interface ResponseCacheMiddleware extends RequestHandler {
  /**
   * Every stored response with one of the tags is gone once this is `true`, also those whose handlers are running now.
   * `false`: Redis could not be reached; it is done as soon as Redis is back, and until then this process serves
   * nothing from the cache. Other processes may serve stale responses in that time.
   */
  invalidateTags(...tags: string[]): Promise<boolean>
  /** As {@link invalidateTags}, for one URL or path with its query: all hosts, variants and keys. */
  invalidate(url: string): Promise<boolean>
  /** As {@link invalidateTags}, for the whole namespace. */
  clear(): Promise<boolean>
}

const rules: Rules<ResponseCacheOptions> = {
  redis: aManager,
  ttl: aDuration(1),
  tags: either(aFunction, arrayOf(aString)),
  key: aFunction,
  cookies: oneOf('bypass', 'ignore'),
  maxBytes: anInteger(1, 512 * 1024 * 1024),
  namespace: aString,
  env: anObject,
}

/** Tags of a response that states its own freshness live at least this long. */
const LONGEST_STATED_MS = 24 * 60 * 60 * 1000

/** Where middlewares are nested the innermost, which knows the route's tags and ttl, stores the response. */
const innermost = new WeakMap<Response, object>()

/**
 * Answers GET and HEAD from Redis, and stores what handlers answer, as a shared cache (RFC 9111). Responses carry
 * `X-Cache: HIT`, `MISS` or `BYPASS` and, on a hit, `Age`. Redis away: `BYPASS`, and the handler answers.
 *
 * Throws a `ConfigurationError` for options out of their range.
 *
 * @example
 * ```ts
 * import express from 'express'
 * import { createRedisManager, responseCache } from 'holdfast'
 *
 * const redis = createRedisManager()
 * const products = responseCache({ redis, ttl: '60s', tags: ['products'] })
 *
 * const app = express()
 * app.get('/products', products, (_req, res) => res.json([{ name: 'Lamp' }]))
 * app.post('/products', async (_req, res) => {
 *   await products.invalidateTags('products')
 *   res.sendStatus(201)
 * })
 * ```
 */
export function responseCache(options: ResponseCacheOptions): ResponseCacheMiddleware {
  checkOptions('responseCache', options, rules)
  requireOptions('responseCache', options, rules, 'redis')
  const { defaultTtl, disabled } = cacheEnvironment(options.env)
  const { redis, ttl: given = defaultTtl, tags = [], key, cookies = 'bypass' } = options
  const { maxBytes = 1024 * 1024, namespace = 'default' } = options
  const ttl = given === undefined ? undefined : toMs(given)
  const responses = new Responses(redis, namespace)

  function report(outcome: ResponseCacheOutcome): void {
    if (redis.listens('response-cache')) redis.emit('response-cache', outcome)
  }

  function bypass(res: Response, next: () => void, reason: BypassReason): void {
    res.setHeader('X-Cache', 'BYPASS')
    report({ outcome: 'bypass', reason })
    next()
  }

  const handler = asyncHandler<Request, Response>(async function responseCacheMiddleware(req, res, next) {
    if (disabled) return bypass(res, next, 'disabled')
    const extra = key === undefined ? [] : await key(req)
    if (extra === null) return bypass(res, next, 'key')
    const plan = lookup({
      method: req.method,
      headers: req.headers,
      keyed: key !== undefined,
      ignoreCookies: cookies === 'ignore',
    })
    if (plan.use === 'bypass') return bypass(res, next, plan.reason)
    if (!redis.available) return bypass(res, next, 'unavailable')

    const own = typeof tags === 'function' ? await tags(req) : tags
    const allTags = [...own, urlTag(req.originalUrl)]
    const resource = resourceKey({
      protocol: req.protocol,
      authority: authorityOf(req),
      url: req.originalUrl,
      extra: typeof extra === 'string' ? [extra] : extra,
    })
    let names: readonly string[] = []
    if (plan.read) {
      const now = Date.now()
      const found = await responses.find(resource, req.headers, allTags, now)
      if (found.state === 'away') return bypass(res, next, 'unavailable')
      if (found.state === 'hit' && (!plan.publicOnly || found.head.isPublic || found.names.includes('cookie'))) {
        innermost.delete(res)
        res.setHeader('X-Cache', 'HIT')
        report({
          outcome: 'hit',
          ageMs: now - found.createdAt,
          status: found.head.status,
          bytes: found.body.length,
        })
        return replay(req, res, { ...found, now })
      }
      names = found.names
    }
    if (!plan.write) return bypass(res, next, req.method === 'HEAD' ? 'method' : 'range')

    const snapshot = await responses.store.snapshot(allTags, ttl ?? LONGEST_STATED_MS)
    if (snapshot === undefined) return bypass(res, next, 'unavailable')

    res.setHeader('X-Cache', 'MISS')
    innermost.set(res, snapshot)
    const requestHeaders = { ...req.headers }
    const before = headersOf(res)
    const restore = hideConditions(req)
    let storable: { readonly lifetimeMs: number; readonly isPublic: boolean } | undefined

    const onHead: CaptureHooks['onHead'] = ({ status, headers }) => {
      const kept = storedHeaders(headers, before)
      const now = Date.now()
      const verdict = storing({ status, headers, kept, publicOnly: plan.publicOnly, ttl, now })
      if (verdict.store) storable = verdict
      const etag = valuesOf(headers, 'etag')[0]
      const lastModified = valuesOf(headers, 'last-modified')[0]
      if (status === 200 && notModified(requestHeaders, { etag, lastModified })) return 'not-modified'
      return verdict.store ? 'capture' : verdict.reason
    }
    capture(res, {
      maxBytes,
      onHead,
      onDone: (result) => {
        restore()
        const refused: Refusal | undefined =
          'refused' in result ? result.refused : innermost.get(res) !== snapshot ? 'superseded' : undefined
        if (refused !== undefined || !('head' in result) || storable === undefined) {
          return report({ outcome: 'miss', stored: false, reason: refused ?? 'no-lifetime' })
        }
        const { head, body } = result
        const { status } = head
        const response = { resource, requestHeaders, head, before, body, ...storable, names }
        // Not awaited: the client has its answer, and the next read on this connection comes after the write.
        void responses
          .save(response, snapshot, Date.now())
          .then((stored) =>
            report(
              stored
                ? { outcome: 'miss', stored, status, bytes: body.length }
                : { outcome: 'miss', stored, reason: 'unavailable' },
            ),
          )
      },
    })
    next()
  })

  return Object.assign(handler as RequestHandler, {
    invalidateTags: (...names: string[]) => responses.store.invalidateTags(names),
    invalidate: (url: string) => responses.store.invalidateTags([urlTag(url)]),
    clear: () => responses.store.clear(),
  })
}

/** Host and port as Express trusts them: `X-Forwarded-Host` only from a proxy that `trust proxy` names. */
function authorityOf(req: Request): string {
  const trust = req.app.get('trust proxy fn') as (address: string | undefined, hop: number) => boolean
  const forwarded = trust(req.socket.remoteAddress, 0) ? req.headers['x-forwarded-host'] : undefined
  const host = (Array.isArray(forwarded) ? forwarded[0] : forwarded) ?? req.headers.host ?? ''
  return sharedAuthority((host.split(',')[0] as string).trim().toLowerCase(), req.socket.localPort)
}

function headersOf(res: Response): Map<string, string> {
  return new Map(Object.entries(res.getHeaders()).map(([name, value]) => [name, String(value)]))
}

const CONDITIONS = ['if-none-match', 'if-modified-since'] as const

/** The handler is to make a whole response for everyone; whether this client has it already is ours to say. */
function hideConditions(req: Request): () => void {
  const hidden = CONDITIONS.filter((name) => req.headers[name] !== undefined).map(
    (name) => [name, req.headers[name]] as const,
  )
  for (const [name] of hidden) delete req.headers[name]
  return () => {
    for (const [name, value] of hidden) req.headers[name] ??= value as string
  }
}
