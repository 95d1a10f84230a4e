import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Awaitable } from '../shared/awaitable.js'
import { responseCacheSeam } from '../shared/seams.js'
import type { Front, Watcher } from './hits.js'
import type { TrustProxy } from './target.js'

/** A response cache for what answers requests in another order than Express' (`src/server`, `src/compose`). */
export interface ResponseCacheSeam<Req = never> {
  /**
   * Begins the read of a request's response before the middleware is called for it, which may then be never (`compose`).
   * Reads nothing that middlewares in front may set, but for what `tags` reads; those are asked for again.
   */
  prefetch(req: Req): void
  /** Tells of every hit in Express, before anything of it is on the response. */
  watch(watcher: Watcher): void
  /** Why `answer` never does: an option that needs Express' request. `undefined` where it may. */
  readonly ineligible: string | undefined
  /**
   * Answers with a stored response, as the middleware would have, and is true; or is false and has done nothing. At once
   * where this process holds a copy, else after Redis was asked, and what was read is then the middleware's. `req.url` is
   * that of the whole request; `front` is what stands before the stored head.
   */
  answer(req: IncomingMessage, res: ServerResponse, trusts: TrustProxy, front: Front): Awaitable<boolean>
}

export function withSeam<Middleware extends object>(middleware: Middleware, value: ResponseCacheSeam): Middleware {
  return Object.defineProperty(middleware, responseCacheSeam, { value })
}

/** The seam of what `responseCache()` returned; `undefined` for any other middleware. */
export function seamOf(middleware: unknown): ResponseCacheSeam | undefined {
  return (middleware as { readonly [responseCacheSeam]?: ResponseCacheSeam } | undefined)?.[responseCacheSeam]
}
