import type { Request, RequestHandler, Response } from 'express'
import type { RedisManager } from '../redis/index.js'
import {
  aBoolean,
  aFunction,
  aManager,
  anObject,
  aString,
  checkOptions,
  type Rules,
  requireOptions,
} from '../shared/options.js'
import { type CheckResult, type HealthCheck, runCheck } from './checks.js'
import { type HealthReport, reportOf, withoutDetails } from './report.js'

export interface HealthOptions {
  readonly redis: RedisManager
  /** Checks of your own by name, run side by side, each bounded in time. */
  readonly checks?: Readonly<Record<string, HealthCheck>> | undefined
  /** Redis away means 503 `fail` instead of 200 `warn`: for services that are useless without it. @default false */
  readonly critical?: boolean | undefined
  /** Shown as `version`. */
  readonly version?: string | undefined
  /** Who may see error messages and host names. @default nobody */
  readonly details?: ((req: Request) => boolean) | undefined
}

/** Answers `/live`, `/ready` and `/` below where it is mounted. */
export interface HealthMiddleware extends RequestHandler {
  /** From now on `/ready` answers 503, so that a load balancer sends no more requests. For shutdown. */
  drain(): void
}

const rules: Rules<HealthOptions> = {
  redis: aManager,
  checks: anObject,
  critical: aBoolean,
  version: aString,
  details: aFunction,
}

const CACHED_MS = 1000

/**
 * `/live`: 200 while the process runs, never asks Redis. `/ready`: 200 while requests can be served; Redis away is a
 * `warn`, since everything passes through. `/`: the whole report as `application/health+json`
 * (draft-inadarei-api-health-check). Reports are made at most once a second and bounded by the checks' time-outs.
 *
 * @example
 * ```ts
 * import express from 'express'
 * import { createRedisManager, health } from 'holdfast'
 *
 * const redis = createRedisManager()
 * const app = express()
 * app.use('/health', health({ redis, version: '1.4.0' }))
 * ```
 */
export function health(options: HealthOptions): HealthMiddleware {
  checkOptions('health', options, rules)
  requireOptions('health', options, rules, 'redis')
  const { redis, checks = {}, critical = false, version, details = () => false } = options
  let draining = false
  let cached: { readonly report: Promise<HealthReport>; readonly until: number } | undefined

  async function inspect(): Promise<HealthReport> {
    const [redisHealth, ...results] = await Promise.all([
      redis.health(),
      ...Object.entries(checks).map(([name, check]): Promise<CheckResult> => runCheck(name, check)),
    ])
    return reportOf({ redis: redisHealth, checks: results, critical, draining, version, time: new Date() })
  }

  function current(): Promise<HealthReport> {
    const now = performance.now()
    // A change of state is news at once; only the measuring is rationed.
    if (cached === undefined || cached.until <= now) cached = { report: inspect(), until: now + CACHED_MS }
    return cached.report
  }

  const forget = (): void => {
    cached = undefined
  }
  for (const event of ['up', 'down', 'degraded', 'recovered'] as const) redis.on(event, forget)

  const handler: RequestHandler = function healthMiddleware(req, res, next) {
    if (req.method !== 'GET' && req.method !== 'HEAD') return next()
    switch (req.path) {
      case '/live':
        return respond(res, { status: 'pass', checks: {} })
      case '/ready':
        return void current().then(({ status }) => respond(res, { status, checks: {} }), next)
      case '/':
        return void current().then((report) => respond(res, details(req) ? report : withoutDetails(report)), next)
      default:
        return next()
    }
  }

  return Object.assign(handler, {
    drain() {
      draining = true
      forget()
    },
  })
}

function respond(res: Response, { checks, ...head }: HealthReport): void {
  const body = Object.keys(checks).length > 0 ? { ...head, checks } : head
  res.status(head.status === 'fail' ? 503 : 200)
  res.set({ 'Content-Type': 'application/health+json; charset=utf-8', 'Cache-Control': 'no-store' })
  res.end(res.req.method === 'HEAD' ? undefined : JSON.stringify(body))
}
