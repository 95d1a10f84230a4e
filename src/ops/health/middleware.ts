import type { Request, RequestHandler, Response } from 'express'
import type { RedisManager } from '../../redis/index.js'
import {
  aBoolean,
  aFunction,
  aManager,
  anObject,
  aString,
  checkOptions,
  oneOf,
  type Rules,
  requireOptions,
} from '../../shared/options.js'
import type { HealthCheck } from './checks.js'
import { createFacts } from './facts.js'
import { type HealthReport, reportOf, type SimpleHealthReport, simpleOf, withoutDetails } from './report.js'

export interface HealthOptions {
  readonly redis: RedisManager
  /** Checks of your own by name, run side by side, each bounded in time. */
  readonly checks?: Readonly<Record<string, HealthCheck>> | undefined
  /** Redis away means 503 `fail` instead of 200 `warn`: for services that are useless without it. @default false */
  readonly critical?: boolean | undefined
  /** Shown as `version`. */
  readonly version?: string | undefined
  /** The body of `/`; a caller may ask for the other with `?format=`. @default 'full' */
  readonly format?: 'full' | 'simple' | undefined
  /** Who may see error messages, host names and the version of Redis. @default nobody */
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
  format: oneOf('full', 'simple'),
  details: aFunction,
}

const CACHED_MS = 1000

interface Reports {
  readonly full: HealthReport
  readonly public: HealthReport
  readonly simple: SimpleHealthReport
}

/**
 * `/live`: 200 while the process runs, never asks Redis. `/ready`: 200 while requests can be served; Redis away is a
 * `warn`, since everything passes through. `/`: the whole report as `application/health+json`
 * (draft-inadarei-api-health-check): Redis, keys and memory by feature, what every feature says of itself, your own
 * checks. Reports are made at most once a second, within 100 ms plus what your checks take, each within its time-out.
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
  const { redis, checks = {}, critical = false, version, format = 'full', details = () => false } = options
  const factsOf = createFacts(redis, checks)
  let draining = false
  let cached: { readonly reports: Promise<Reports>; readonly until: number } | undefined

  async function inspect(): Promise<Reports> {
    const facts = await factsOf()
    const full = reportOf({ facts, critical, draining, version, time: new Date() })
    return { full, public: withoutDetails(full), simple: simpleOf(facts, full.status) }
  }

  function current(): Promise<Reports> {
    const now = performance.now()
    // A change of state is news at once; only the measuring is rationed.
    if (cached === undefined || cached.until <= now) cached = { reports: inspect(), until: now + CACHED_MS }
    return cached.reports
  }

  const forget = (): void => {
    cached = undefined
  }
  for (const event of ['up', 'down', 'degraded', 'recovered'] as const) redis.on(event, forget)

  function whole(reports: Reports, req: Request): HealthReport | SimpleHealthReport {
    const asked = req.query.format
    if ((asked === 'simple' || asked === 'full' ? asked : format) === 'simple') return reports.simple
    return details(req) ? reports.full : reports.public
  }

  const handler: RequestHandler = function healthMiddleware(req, res, next) {
    if (req.method !== 'GET' && req.method !== 'HEAD') return next()
    switch (req.path) {
      case '/live':
        return respond(res, { status: 'pass' })
      case '/ready':
        return void current()
          .then(({ full: { status } }) => respond(res, { status }))
          .catch(next)
      case '/':
        return void current()
          .then((reports) => respond(res, whole(reports, req)))
          .catch(next)
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

function respond(res: Response, body: { readonly status: HealthReport['status'] }): void {
  const type = 'cache' in body ? 'application/json' : 'application/health+json'
  res.status(body.status === 'fail' ? 503 : 200)
  res.set({ 'Content-Type': `${type}; charset=utf-8`, 'Cache-Control': 'no-store' })
  res.end(res.req.method === 'HEAD' ? undefined : JSON.stringify(body))
}
