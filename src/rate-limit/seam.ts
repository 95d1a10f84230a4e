import type { IncomingMessage } from 'node:http'
import { rateLimitSeam } from '../shared/seams.js'
import type { Charge } from './attribution.js'
import type { Taken } from './core.js'
import type { Refused } from './deny-cache.js'
import type { Prepared } from './respond.js'

/**
 * What has been found out about a request: not limited (or decided by this limiter before), its client gone, on the
 * deny list, known to be refused, or decided.
 */
export type Verdict = 'free' | 'gone' | 'denied' | { readonly asked: Charge; readonly refused: Refused } | Taken<Charge>

export type Started = Verdict | Promise<Verdict>

/** A limiter in two halves, for what answers requests in another order than Express' (`src/server`, `src/compose`). */
export interface RateLimitSeam<Req, Res> {
  /** True where `start` reads nothing that middlewares in front may set: it may be called before they have run. */
  readonly early: boolean
  /** Asks Redis, and sends nothing to the client. What it rejects with is told by `apply`. */
  start(req: Req): Started
  /** Fields and `next`, or a refusal: what mounting the limiter at this place would have done. */
  apply(started: Started, req: Req, res: Res, next: (error?: unknown) => void): void
  /** Instead of `apply`, where a middleware in front has answered: gives the points back. */
  abandon(started: Started): void
  /** Why `isBlocked` knows nobody: an option that needs Express' request. `undefined` where it answers. */
  readonly ineligible: string | undefined
  /**
   * The answer to a caller this process knows to be refused, for a request Express has not seen. `address` is the
   * client's, found with the application's `trust proxy`. Synchronous, and `undefined` on any doubt.
   */
  isBlocked(req: IncomingMessage, address: string | undefined): Prepared | undefined
  /** Counts a refusal of `isBlocked` that was sent. */
  hasAnswered(address: string | undefined): void
  /** Whether it has refused a request that no other limiter has counted. */
  hasRefused(req: object): boolean
}

export function withSeam<Middleware extends object>(
  middleware: Middleware,
  value: RateLimitSeam<never, never> | undefined,
): Middleware {
  return Object.defineProperty(middleware, rateLimitSeam, { value })
}

/** The seam of what `rateLimit()` or `fromExpressRateLimit()` returned; `undefined` for any other middleware. */
export function seamOf<Req, Res>(middleware: unknown): RateLimitSeam<Req, Res> | undefined {
  return (middleware as { readonly [rateLimitSeam]?: RateLimitSeam<Req, Res> } | undefined)?.[rateLimitSeam]
}
