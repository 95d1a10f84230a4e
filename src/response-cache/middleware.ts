import type { IncomingMessage } from 'node:http'
import type { NextFunction, Request, RequestHandler, Response } from 'express'
import { isPromise } from '../shared/awaitable.js'
import { settle } from '../shared/settle.js'
import { type BypassReason, type Lookup, lookup, type Plan } from './asked.js'
import type { Forward } from './cache-status.js'
import { Coalescing, type Turn } from './coalescing.js'
import { Encoder } from './encoder.js'
import type { ResponseCacheOutcome } from './events.js'
import type { Found, Resource } from './found.js'
import { updateFromHead } from './head-update.js'
import { Hits, mayUse } from './hits.js'
import { holdEnd, isUnsafe, outdatedBy } from './invalidating.js'
import { urlTag } from './key.js'
import { hideLabels } from './labels.js'
import { marker } from './marks.js'
import { watchMiss } from './miss.js'
import { type OptionsFor, settingsOf } from './options.js'
import { outOfTurn } from './out-of-turn.js'
import { type HeadFacts, storing } from './policy.js'
import { Prefetches } from './prefetch.js'
import { keyedUrl } from './query.js'
import { Responses } from './responses.js'
import { reuse } from './reuse.js'
import { withSeam } from './seam.js'
import { authorityOf, type Target, type TrustProxy, targetOf } from './target.js'
import { UnkeyedHeaders } from './unkeyed.js'

/** Options of {@link responseCache}. */
export type ResponseCacheOptions = OptionsFor<Request>

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

/** Parts of the key that are the caller's own. `null` leaves the request uncached. */
type Extra = string | readonly string[] | null
const NO_PARTS: readonly string[] = []

/** Where middlewares are nested the innermost, which knows the route's tags and ttl, stores the response. */
const innermost = Symbol.for('holdfast.innermost')

interface Nested extends Response {
  [innermost]?: object | undefined
}

/**
 * Answers GET and HEAD from Redis, and stores what handlers answer, as a shared cache (RFC 9111). Responses carry
 * `X-Cache`, `Cache-Status` (RFC 9211) and, where they were stored, `Age`. Redis away: `BYPASS`, and the handler answers.
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
  const settings = settingsOf(options)
  const { redis, disabled, tags, key, plans, route, tagLifetimeMs, parameter, maxBytes } = settings
  const responses = new Responses({ ...settings, tags: typeof tags === 'function' ? [] : tags })
  const coalescing = new Coalescing(responses.store, settings)
  const mark = marker(settings.marks)
  const age = settings.marks.age !== false
  const keyed = (url: string): string => (parameter === undefined ? url : keyedUrl(url, parameter))
  const unkeyed = settings.development ? new UnkeyedHeaders(redis) : undefined
  const encoder = settings.compress ? new Encoder(redis, responses.store) : undefined
  const hits = new Hits({ responses, mark, report, age, encoder })
  const prefetches = new Prefetches(responses)

  function report(outcome: ResponseCacheOutcome): void {
    if (redis.listens('response-cache')) redis.emit('response-cache', outcome)
  }

  function bypass(res: Response, next: () => void, reason: BypassReason): void {
    hideLabels(res)
    mark(res, 'BYPASS', { fwd: reason === 'method' ? 'method' : 'bypass', detail: reason })
    report({ outcome: 'bypass', reason })
    next()
  }

  function notStored(res: Response): void {
    mark(res, 'MISS', { detail: 'only-if-cached' })
    report({ outcome: 'miss', stored: false, reason: 'only-if-cached' })
    res.status(504).end()
  }

  function send(req: Request, res: Response, found: Found, now: number, collapsed: boolean): void {
    leave(res)
    hits.send(req, res, found, now, collapsed)
  }

  const planOf = ({ method = 'GET', headers }: IncomingMessage): Lookup => lookup({ method, headers }, plans)

  function responseCacheMiddleware(req: Request, res: Response, next: NextFunction): void {
    settle(req, res)
    if (disabled) return bypass(res, next, 'disabled')
    const target = targetOf(req, keyed(req.originalUrl), trustOf(req))
    if (isUnsafe(req.method)) {
      holdEnd(res, (head) => {
        const { protocol, url } = target
        const urls = outdatedBy(head, { protocol, authority: authorityOf(target), url })
        return urls.length === 0 ? undefined : responses.store.invalidateTags(urls.map((each) => urlTag(keyed(each))))
      })
      return bypass(res, next, 'method')
    }
    const extra = key === undefined ? NO_PARTS : unkeyed === undefined ? key(req) : unkeyed.during(req, key)
    if (!isPromise(extra)) return enter(req, res, next, target, extra)
    extra.then((parts) => enter(req, res, next, target, parts)).catch(next)
  }

  /** A copy in this process answers before anything is waited for. */
  function enter(req: Request, res: Response, next: NextFunction, target: Target, extra: Extra): void {
    if (extra === null) return bypass(res, next, 'key')
    const plan = planOf(req)
    if (plan.use === 'bypass') return bypass(res, next, plan.reason)
    if (!redis.available) return plan.asked.onlyIfCached ? notStored(res) : bypass(res, next, 'unavailable')
    const resource = responses.resource(target, typeof extra === 'string' ? [extra] : extra)
    if (hits.answer(req, res, resource, plan)) leave(res)
    else visit(req, res, next, plan, resource).catch(next)
  }

  async function visit(req: Request, res: Response, next: NextFunction, plan: Plan, resource: Resource): Promise<void> {
    const { asked, publicOnly, authorized } = plan
    const allTags = typeof tags === 'function' ? [...(await tags(req)), resource.urlTag] : resource.tags
    let turn: Turn | undefined
    for (;;) {
      const now = Date.now()
      const found = await (prefetches.take(req, resource) ??
        responses.find(resource, req.headers, allTags, now, coalescing.isUnstorable(resource.key)))
      if (found.state === 'away') return asked.onlyIfCached ? notStored(res) : bypass(res, next, 'unavailable')
      const candidate = mayUse(found, plan) ? found : undefined
      const use = candidate === undefined ? undefined : reuse(candidate, asked, now)
      if (candidate !== undefined && (use === 'fresh' || use === 'stale')) {
        return send(req, res, candidate, now, turn?.waited === true)
      }
      if (asked.onlyIfCached) return notStored(res)
      const decide = (facts: HeadFacts) => storing(facts, { publicOnly, authorized }, route)
      if (!plan.write) {
        if (req.method === 'HEAD' && candidate !== undefined) {
          const snapshot = await responses.store.snapshot(allTags, tagLifetimeMs)
          const requestHeaders = { ...req.headers }
          const stored = { responses, resource: resource.key, found: candidate, decide }
          if (snapshot !== undefined) updateFromHead({ res, requestHeaders, snapshot, ...stored })
        }
        return bypass(res, next, req.method === 'HEAD' ? 'method' : 'range')
      }

      // Whoever is given what is meant for everyone may wait for it; others would wait for nothing.
      const alone = asked.reload || publicOnly || settings.waitMs === 0
      turn ??= coalescing.turn(resource.key, allTags)
      const snapshotRead = found.state === 'miss' ? found.snapshot : undefined
      const entered = await turn.enter(found.key, found.seen, {
        alone,
        behind: use === 'behind',
        snapshot: snapshotRead,
      })
      if (entered.state === 'away') return bypass(res, next, 'unavailable')
      if (entered.state === 'again') continue
      if (entered.state === 'busy') return send(req, res, candidate as Found, now, false)

      const { snapshot } = entered
      ;(res as Nested)[innermost] = snapshot
      const fwd: Forward =
        candidate !== undefined
          ? asked.reload || (use === 'validate' && candidate.freshUntil > now)
            ? 'request'
            : 'stale'
          : asked.reload
            ? 'request'
            : found.names.length > 0
              ? 'vary-miss'
              : 'uri-miss'
      mark(res, 'MISS', { fwd })
      // Not with spreads, here and in what follows: each one after the first costs a microsecond.
      watchMiss({
        req,
        res,
        responses,
        resource: resource.key,
        names: found.names,
        snapshot,
        candidate,
        fwd,
        maxBytes,
        age,
        mark,
        decide,
        parameter,
        keyed: key !== undefined,
        onRead: unkeyed?.watcher(req, publicOnly),
        isSuperseded: () => (res as Nested)[innermost] !== snapshot,
        onSettled: entered.settle,
        report,
      })
      return next()
    }
  }

  const seam = outOfTurn<Request>({ settings, responses, hits, prefetches, keyed, planOf, trustOf })

  return Object.assign(withSeam(responseCacheMiddleware as RequestHandler, seam), {
    invalidateTags: (...names: string[]) => responses.store.invalidateTags(names),
    invalidate: (url: string) => responses.store.invalidateTags([urlTag(keyed(url))]),
    clear: () => responses.store.clear(),
  })
}

/** Nobody further out stores what is answered here. */
function leave(res: Nested): void {
  if (innermost in res) res[innermost] = undefined
}

function trustOf(req: Request): TrustProxy {
  return req.app.get('trust proxy fn') as TrustProxy
}
