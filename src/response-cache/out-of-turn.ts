import type { IncomingMessage } from 'node:http'
import { isPromise } from '../shared/awaitable.js'
import type { Lookup } from './asked.js'
import type { Resource } from './found.js'
import type { Hits } from './hits.js'
import type { Settings } from './options.js'
import type { Prefetches } from './prefetch.js'
import type { Responses } from './responses.js'
import type { ResponseCacheSeam } from './seam.js'
import { type TrustProxy, targetOf } from './target.js'

export interface OutOfTurnParts<Req> {
  readonly settings: Pick<Settings<Req>, 'redis' | 'disabled' | 'key' | 'tags'>
  readonly responses: Responses
  readonly hits: Hits
  readonly prefetches: Prefetches
  /** The URL with the parameters that are part of the key. */
  readonly keyed: (url: string) => string
  readonly planOf: (req: IncomingMessage) => Lookup
  readonly trustOf: (req: Req) => TrustProxy
}

/** What the cache does for a request before, or instead of, its middleware. */
export function outOfTurn<Req extends IncomingMessage & { originalUrl: string }>({
  settings: { redis, disabled, key, tags },
  responses,
  hits,
  prefetches,
  keyed,
  planOf,
  trustOf,
}: OutOfTurnParts<Req>): ResponseCacheSeam<Req> {
  const ineligible = key === undefined ? undefined : '"key" is a function of the request'
  const idle = (): boolean => disabled || ineligible !== undefined || !redis.available
  const resourceOf = (req: IncomingMessage, url: string, trusts: TrustProxy): Resource =>
    responses.resource(targetOf(req, keyed(url), trusts), [])

  return {
    prefetch(req) {
      if (idle() || planOf(req).use === 'bypass') return
      const named = typeof tags === 'function' ? tags(req) : undefined
      if (isPromise(named)) return void named.catch(() => {})
      const resource = resourceOf(req, req.originalUrl, trustOf(req))
      prefetches.start(req, resource, named === undefined ? resource.tags : [...named, resource.urlTag])
    },
    watch: (watcher) => void hits.watchers.push(watcher),
    ineligible,
    answer(req, res, trusts, front) {
      if (idle()) return false
      const plan = planOf(req)
      if (plan.use === 'bypass') return false
      const resource = resourceOf(req, req.url ?? '/', trusts)
      if (hits.answer(req, res, resource, plan, front)) return true
      const { epoch } = responses.store
      return responses.find(resource, req.headers, resource.tags, Date.now()).then((found) => {
        if (hits.use(req, res, found, plan, Date.now(), front)) return true
        prefetches.keep(req, resource, found, epoch)
        return false
      })
    },
  }
}
