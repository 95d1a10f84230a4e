import type { NextFunction, Request, RequestHandler, Response } from 'express'
import type { RedisManager } from '../redis/index.js'
import type { Duration } from '../shared/duration.js'
import { settle } from '../shared/settle.js'
import type { BlockEscalation } from './block.js'
import type { Caller } from './caller.js'
import type { RateLimitDecision } from './decision.js'
import type { RateLimitHeaders } from './headers.js'
import { createHttpLimiter } from './http-limiter.js'
import type { RateLimitInfo } from './info.js'
import { resolveOptions } from './options.js'
import type { RateLimitAlgorithm, RateLimitPolicy } from './policy.js'
import { withSeam } from './seam.js'

/** A value, or how to find it for a request. */
export type PerRequest<T> = T | ((req: Request) => T | Promise<T>)

export interface RateLimitOptions {
  /** The shared Redis manager. */
  readonly redis: RedisManager
  /** Points per window. @default 100 */
  readonly limit?: PerRequest<number> | undefined
  /** @default '1m' */
  readonly window?: Duration | undefined
  /** Several limits at once, decided together, all or none; instead of `limit` and `window`. At most 8. */
  readonly policies?: PerRequest<readonly RateLimitPolicy[]> | undefined
  /** @default 'sliding' */
  readonly algorithm?: RateLimitAlgorithm | undefined
  /** Points per request; 0 takes none. @default 1 */
  readonly cost?: PerRequest<number> | undefined
  /**
   * Part of every key. Limiters of one name share their counters, and counters survive a change of limits only under a
   * name. @default made from the limits, such as '100-in-1m'
   */
  readonly name?: string | undefined
  /** Whom to count for, instead of user and address. `undefined` falls back to those. */
  readonly key?: ((req: Request) => string | number | undefined | Promise<string | number | undefined>) | undefined
  /**
   * The authenticated user; `undefined` falls back to the address. `false`: always by address, whoever is logged in.
   * @default `req.user.id`, else `req.session.userId`
   */
  readonly user?:
    | ((req: Request) => string | number | undefined | Promise<string | number | undefined>)
    | false
    | undefined
  /** IPv6 addresses count by network. 32 to 128. @default 64 */
  readonly ipv6PrefixLength?: number | undefined
  /** Makes every id in a key an HMAC, so that Redis learns no users and addresses. At least 16 characters. */
  readonly keySecret?: string | undefined
  /** True: not counted, not limited. */
  readonly skip?: ((req: Request) => boolean | Promise<boolean>) | undefined
  /** Not counted, not limited: addresses and CIDR networks, or a predicate. */
  readonly allowList?: readonly string[] | ((req: Request) => boolean | Promise<boolean>) | undefined
  /** Answered 403: addresses and CIDR networks, or a predicate. */
  readonly denyList?: readonly string[] | ((req: Request) => boolean | Promise<boolean>) | undefined
  /** A refusal starts a block of this length. @default no blocks */
  readonly blockDuration?: Duration | undefined
  /** Blocks grow for who keeps coming back. @default every block is as long */
  readonly escalation?: BlockEscalation | undefined
  /** Which requests keep their points. Points are taken first and given back afterwards. @default 'all' */
  readonly count?: 'all' | 'failures' | 'successes' | undefined
  /** @default a status of 400 or above. A request the client aborted is a failure. */
  readonly isFailure?: ((req: Request, res: Response) => boolean) | undefined
  /** `shadow` counts and reports, but refuses nobody. @default 'enforce' */
  readonly mode?: 'enforce' | 'shadow' | undefined
  /** One style or several; at most one of the drafts. @default ['draft-11', 'legacy'] */
  readonly headers?: RateLimitHeaders | readonly RateLimitHeaders[] | false | undefined
  /** Answers refused requests; `Retry-After` is set already. @default 429 as problem+json, or text where preferred */
  readonly handler?:
    | ((req: Request, res: Response, next: NextFunction, decision: RateLimitDecision) => unknown)
    | undefined
  /**
   * While Redis is away: `allow` every request, count in `memory` of this process, or `deny` with 503.
   * @default 'allow'
   */
  readonly onUnavailable?: 'allow' | 'memory' | 'deny' | undefined
  /** Processes that share the limit while each counts in memory. @default 1 */
  readonly instances?: number | undefined
  /** Callers known to be refused, kept in this process so that they cost no round trip; 0 for none. @default 10000 */
  readonly remembered?: number | undefined
}

/** Limits requests; and from outside a request, tells about callers and forgives them. */
export interface RateLimitMiddleware extends RequestHandler {
  readonly limiterName: string
  /** How a caller stands, without counting. Rejects while Redis is away. */
  peek(caller: Caller): Promise<RateLimitDecision>
  /** Forgets a caller's requests and blocks, in every process. Rejects while Redis is away. */
  reset(caller: Caller): Promise<boolean>
  /** Refuses a caller for a time. Rejects while Redis is away. */
  block(caller: Caller, duration: Duration): Promise<void>
}

declare global {
  namespace Express {
    interface Request {
      /** What the tightest limiter of this request decided. */
      rateLimit?: RateLimitInfo
    }
  }
}

/**
 * Allows each caller so many requests in any window of time, whatever the number of processes. Above it: 429 with
 * `Retry-After`. Sets `RateLimit`, `RateLimit-Policy` and `X-RateLimit-*`, and `req.rateLimit`. Throws a
 * `ConfigurationError` for options out of their range.
 *
 * @example
 * ```ts
 * import express from 'express'
 * import { createRedisManager, rateLimit } from 'holdfast'
 *
 * const redis = createRedisManager()
 * const app = express()
 * app.use(rateLimit({ redis, limit: 100, window: '1m' }))
 * ```
 */
export function rateLimit(options: RateLimitOptions): RateLimitMiddleware {
  const resolved = resolveOptions<Request, Response>('rateLimit', options)
  const limiter = createHttpLimiter(resolved)
  const handler: RequestHandler = function rateLimitMiddleware(req, res, next) {
    settle(req, res)
    limiter.handle(req, res, next)
  }
  const { peek, reset, block } = limiter
  return withSeam(Object.assign(handler, { limiterName: resolved.name, peek, reset, block }), limiter)
}
