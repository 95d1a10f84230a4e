import type { NextFunction, Request, RequestHandler, Response } from 'express'
import type { RedisManager } from '../../redis/index.js'
import { asyncHandler } from '../../shared/async-handler.js'
import { type Duration, toMs } from '../../shared/duration.js'
import { markMustRun } from '../../shared/must-run.js'
import {
  aBoolean,
  aDuration,
  aFunction,
  aManager,
  anInteger,
  checkOptions,
  either,
  oneOf,
  type Rules,
  requireOptions,
} from '../../shared/options.js'
import { keyFor } from '../caller.js'
import { conclude, type RateLimitDecision } from '../decision.js'
import { createIdentify } from '../identify.js'
import { limitOf } from '../plan.js'
import { aLimit, aName } from '../policy.js'
import { aKeySecret } from '../principal.js'
import { createReport } from '../report.js'
import { refuse } from '../respond.js'
import { Leases, newLease } from './leases.js'
import { Slots } from './slots.js'

export interface ConcurrencyOptions {
  /** The shared Redis manager. */
  readonly redis: RedisManager
  /** Requests of one caller in progress at a time, in all processes together. @default 10 */
  readonly limit?: number | ((req: Request) => number | Promise<number>) | undefined
  /** Part of every key, and the policy's name in `RateLimit`. @default 'concurrency' */
  readonly name?: string | undefined
  /** Whom to count for, instead of user and address. */
  readonly key?: ((req: Request) => string | number | undefined | Promise<string | number | undefined>) | undefined
  /** The authenticated user; `false`: always by address. @default `req.user.id`, else `req.session.userId` */
  readonly user?:
    | ((req: Request) => string | number | undefined | Promise<string | number | undefined>)
    | false
    | undefined
  /** IPv6 addresses count by network. @default 64 */
  readonly ipv6PrefixLength?: number | undefined
  /** Makes every id in a key an HMAC. */
  readonly keySecret?: string | undefined
  /** True: not limited. */
  readonly skip?: ((req: Request) => boolean | Promise<boolean>) | undefined
  /** A process that dies loses its slots after so long; one that lives renews them. @default '30s' */
  readonly lease?: Duration | undefined
  /** `RateLimit` and `RateLimit-Policy` with the unit `concurrent-requests`. @default true */
  readonly headers?: boolean | undefined
  /** Answers refused requests; `Retry-After` is set already. @default 429 as problem+json */
  readonly handler?: ((req: Request, res: Response, next: NextFunction) => unknown) | undefined
  /** While Redis is away: `allow`, count in `memory` of this process, or `deny` with 503. @default 'allow' */
  readonly onUnavailable?: 'allow' | 'memory' | 'deny' | undefined
}

const rules: Rules<ConcurrencyOptions> = {
  redis: aManager,
  limit: either(aLimit, aFunction),
  name: aName,
  key: aFunction,
  user: either(aFunction, oneOf(false)),
  ipv6PrefixLength: anInteger(32, 128),
  keySecret: aKeySecret,
  skip: aFunction,
  lease: aDuration(1000),
  headers: aBoolean,
  handler: aFunction,
  onUnavailable: oneOf('allow', 'memory', 'deny'),
}

/**
 * Limits how many requests of a caller are in progress at a time. A slot is given back when the response ends or the
 * client goes away. Throws a `ConfigurationError` for options out of their range.
 *
 * @example
 * ```ts
 * import express from 'express'
 * import { concurrency, createRedisManager } from 'holdfast'
 *
 * const app = express()
 * app.use('/exports', concurrency({ redis: createRedisManager(), limit: 2 }))
 * ```
 */
export function concurrency(options: ConcurrencyOptions): RequestHandler {
  checkOptions('concurrency', options, rules)
  requireOptions('concurrency', options, rules, 'redis')
  const {
    redis,
    limit = 10,
    name = 'concurrency',
    key,
    user,
    ipv6PrefixLength = 64,
    keySecret,
    skip,
    lease: length = '30s',
    headers = true,
    handler,
    onUnavailable = 'allow',
  } = options
  const naming = { redis, name, keySecret, ipv6PrefixLength }
  const identify = createIdentify<Request>({ redis, key, user, ipv6PrefixLength })
  const leases = new Leases(redis, toMs(length))
  const slots = new Slots()
  const report = createReport(redis)

  return asyncHandler(async function concurrencyMiddleware(req: Request, res: Response, next: NextFunction) {
    if ((await skip?.(req)) === true) {
      markMustRun(req)
      return next()
    }
    const principal = await identify.find(req)
    if (principal === undefined) return
    const id = keyFor(naming, principal, 'concurrency')
    const most = await limitOf(limit, req)
    const lease = newLease()
    let inMemory = false
    const grant = await leases.acquire(id, most, lease, (reason) => {
      inMemory = onUnavailable === 'memory' && slots.acquire(id, most)
      return { granted: onUnavailable === 'allow' || inMemory, held: 0, reason }
    })
    const release = (): void => {
      void leases.release(lease)
      if (inMemory) slots.release(id)
    }
    if (headers && grant.reason === undefined && !res.headersSent) {
      append(res, 'RateLimit-Policy', `"${name}";q=${most};qu="concurrent-requests"`)
      append(res, 'RateLimit', `"${name}";r=${Math.max(0, most - grant.held)}`)
    }
    if (grant.granted) {
      if (res.closed) release()
      else res.once('close', release)
      return next()
    }
    release()
    if (res.headersSent) return next()
    const unavailable = grant.reason !== undefined && onUnavailable === 'deny'
    if (!unavailable) report(req, id, principal, { ...REFUSAL, limiter: name, policy: name })
    if (handler === undefined) return refuse(res, refusalOf(name, most, unavailable), req.headers.accept)
    res.status(unavailable ? 503 : 429).setHeader('Retry-After', '1')
    await handler(req, res, next)
  })
}

/** Requests end at any moment: a second is as good a guess as any. */
const RETRY_MS = 1000
const REFUSAL = { retryAfterMs: RETRY_MS, blocked: false, repeated: 0, shadow: false } as const

function refusalOf(name: string, limit: number, unavailable: boolean): RateLimitDecision {
  const state = { name, limit, windowMs: 0, used: limit, remaining: 0, resetMs: RETRY_MS, retryAfterMs: RETRY_MS }
  return conclude(false, false, 0, [state], unavailable ? 'none' : 'redis', Date.now())
}

function append(res: Response, name: string, value: string): void {
  const before = res.getHeader(name)
  res.setHeader(name, before === undefined ? value : `${String(before)}, ${value}`)
}
