import type { NextFunction, Request, RequestHandler, Response } from 'express'
import type { RedisManager } from '../../redis/index.js'
import type { Awaitable } from '../../shared/awaitable.js'
import { ConfigurationError } from '../../shared/errors.js'
import type { RateLimitHeaders } from '../headers.js'
import { type RateLimitMiddleware, rateLimit } from '../middleware.js'
import { seamOf, withSeam } from '../seam.js'

type ValueOf<T> = T | ((req: Request, res: Response) => Awaitable<T>)

/** The options of express-rate-limit (6 to 8), beside `redis`. Its defaults apply. */
export interface ExpressRateLimitOptions {
  /** Instead of `store`. */
  readonly redis: RedisManager
  /** Keeps the counters of several limiters apart; what `prefix` is for a store. */
  readonly name?: string | undefined
  /** @default 60000 */
  readonly windowMs?: number | undefined
  /** @default 5 */
  readonly limit?: number | ((req: Request, res: Response) => Awaitable<number>) | undefined
  /** Older name of `limit`. */
  readonly max?: number | ((req: Request, res: Response) => Awaitable<number>) | undefined
  /** @default 'Too many requests, please try again later.' */
  readonly message?: ValueOf<unknown> | undefined
  /** @default 429 */
  readonly statusCode?: number | undefined
  /** `true` means 'draft-6'; 'draft-8' has the shape of our 'draft-11'. @default false */
  readonly standardHeaders?: boolean | 'draft-6' | 'draft-7' | 'draft-8' | undefined
  /** `X-RateLimit-*`. @default true */
  readonly legacyHeaders?: boolean | undefined
  readonly keyGenerator?: ((req: Request, res: Response) => Awaitable<string>) | undefined
  /** `false` means whole addresses. @default 56 */
  readonly ipv6Subnet?: number | false | undefined
  readonly skip?: ((req: Request, res: Response) => Awaitable<boolean>) | undefined
  /** @default a status below 400 */
  readonly requestWasSuccessful?: ((req: Request, res: Response) => boolean) | undefined
  /** @default false */
  readonly skipSuccessfulRequests?: boolean | undefined
  /** @default false */
  readonly skipFailedRequests?: boolean | undefined
  readonly handler?:
    | ((req: Request, res: Response, next: NextFunction, options: ExpressRateLimitOptions) => unknown)
    | undefined
  /** `false`: errors, and so requests while Redis is away, are answered 503. @default true, other than there */
  readonly passOnStoreError?: boolean | undefined
  /** Taken and not needed: `trust proxy` is looked at always. */
  readonly validate?: unknown
  /** Not supported: `redis` stands instead. */
  readonly store?: undefined
  /** Only 'rateLimit' is supported. */
  readonly requestPropertyName?: 'rateLimit' | undefined
}

export interface ExpressRateLimitMiddleware extends RequestHandler {
  /** Forgets what a key has used. */
  resetKey(key: string): Promise<void>
  /** What a key has used. */
  getKey(key: string): Promise<{ readonly totalHits: number; readonly resetTime: Date }>
}

const OWNER = 'fromExpressRateLimit'

const KNOWN: ReadonlySet<string> = new Set<keyof ExpressRateLimitOptions>([
  'redis',
  'name',
  'windowMs',
  'limit',
  'max',
  'message',
  'statusCode',
  'standardHeaders',
  'legacyHeaders',
  'keyGenerator',
  'ipv6Subnet',
  'skip',
  'requestWasSuccessful',
  'skipSuccessfulRequests',
  'skipFailedRequests',
  'handler',
  'passOnStoreError',
  'validate',
  'requestPropertyName',
])

/**
 * Takes the options of express-rate-limit, so that a migration changes one import: counts by sliding window in Redis
 * instead. `req.rateLimit` keeps `limit`, `used`, `remaining` and `resetTime`. Throws a `ConfigurationError` for what
 * has no counterpart (`store`, `identifier`, another `requestPropertyName`).
 *
 * @example
 * ```ts
 * import express from 'express'
 * import { createRedisManager, fromExpressRateLimit as rateLimit } from 'holdfast'
 *
 * const redis = createRedisManager()
 * express().use(rateLimit({ redis, windowMs: 15 * 60 * 1000, max: 100, standardHeaders: 'draft-7', legacyHeaders: false }))
 * ```
 */
export function fromExpressRateLimit(options: ExpressRateLimitOptions): ExpressRateLimitMiddleware {
  for (const [option, value] of Object.entries(options)) {
    if (!KNOWN.has(option) && value !== undefined) {
      throw new ConfigurationError(OWNER, option, 'has no counterpart; see docs/rate-limit.md#from-express-rate-limit')
    }
  }
  const {
    redis,
    name,
    windowMs = 60_000,
    limit = options.max ?? 5,
    message = 'Too many requests, please try again later.',
    statusCode = 429,
    standardHeaders = false,
    legacyHeaders = true,
    keyGenerator,
    ipv6Subnet = 56,
    skip,
    requestWasSuccessful,
    skipSuccessfulRequests = false,
    skipFailedRequests = false,
    handler,
    passOnStoreError = true,
    requestPropertyName = 'rateLimit',
  } = options
  if (requestPropertyName !== 'rateLimit') {
    throw new ConfigurationError(OWNER, 'requestPropertyName', "must be 'rateLimit'")
  }
  if (skipSuccessfulRequests && skipFailedRequests) {
    throw new ConfigurationError(OWNER, 'skipFailedRequests', 'beside "skipSuccessfulRequests" would count nothing')
  }
  const limiter: RateLimitMiddleware = rateLimit({
    redis,
    name,
    window: windowMs,
    limit: typeof limit === 'function' ? (req) => limit(req, responseOf(req)) : limit,
    headers: stylesOf(standardHeaders, legacyHeaders),
    key: keyGenerator && ((req) => keyGenerator(req, responseOf(req))),
    // Whom its default counts by: the address, whoever is logged in.
    user: false,
    ipv6PrefixLength: ipv6Subnet === false ? 128 : ipv6Subnet,
    skip: skip && ((req) => skip(req, responseOf(req))),
    count: skipSuccessfulRequests ? 'failures' : skipFailedRequests ? 'successes' : 'all',
    isFailure: requestWasSuccessful && ((req, res) => !requestWasSuccessful(req, res)),
    onUnavailable: passOnStoreError ? 'allow' : 'deny',
    handler: async (req, res, next, decision) => {
      if (decision.source === 'none') return void res.sendStatus(503)
      if (handler !== undefined) return void (await handler(req, res, next, options))
      const body = typeof message === 'function' ? await message(req, res) : message
      if (!res.writableEnded) res.status(statusCode).send(body)
    },
  })
  const middleware: RequestHandler = (req, res, next) => limiter(req, res, next)
  const methods = {
    async resetKey(key: string) {
      await limiter.reset(callerOf(key))
    },
    async getKey(key: string) {
      const { tightest, at } = await limiter.peek(callerOf(key))
      return { totalHits: tightest.used, resetTime: new Date(at + tightest.resetMs) }
    },
  }
  return withSeam(Object.assign(middleware, methods), seamOf(limiter))

  function callerOf(key: string): { address: string } | { key: string } {
    return keyGenerator === undefined ? { address: key } : { key }
  }
}

function stylesOf(
  standard: NonNullable<ExpressRateLimitOptions['standardHeaders']>,
  legacy: boolean,
): readonly RateLimitHeaders[] {
  const styles: RateLimitHeaders[] = legacy ? ['legacy'] : []
  if (standard !== false) styles.push(standard === true ? 'draft-6' : standard === 'draft-8' ? 'draft-11' : standard)
  return styles
}

function responseOf(req: Request): Response {
  return req.res as Response
}
