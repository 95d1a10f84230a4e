import type { Request, RequestHandler, Response } from 'express'
import { aFunction, anInteger, checkOptions, either, type Rules } from '../shared/options.js'
import { routePattern } from '../shared/route.js'
import { settle } from '../shared/settle.js'
import { createUsageCore, type UsageService } from './core.js'
import type { UsageOptions } from './options.js'

export interface UsageMiddlewareOptions {
  /** Who is asking. @default `req.user.id`, `req.user.sub`, `req.auth.sub`, `req.session.userId`, the first there is */
  readonly user?: ((req: Request) => string | number | undefined) | undefined
  /** What is asked for. Few different ones: not the URL. @default method and pattern of the route, such as `GET /users/:id` */
  readonly operation?: ((req: Request) => string | undefined) | undefined
  /** @default 1 */
  readonly cost?: number | ((req: Request, res: Response) => number) | undefined
}

/** Usage with a middleware that tracks every request. */
export interface Usage extends UsageService {
  /** Tracks each request when its response ends, also where the client went away. Answers of 500 and above are errors. */
  middleware(options?: UsageMiddlewareOptions): RequestHandler
}

const rules: Rules<UsageMiddlewareOptions> = {
  user: aFunction,
  operation: aFunction,
  cost: either(anInteger(0), aFunction),
}

/**
 * Counts who calls what. Counts are gathered in the process and written every 2 seconds; tracking costs a request
 * nothing but that. Throws a `ConfigurationError` for options out of their range.
 *
 * @example
 * ```ts
 * import express from 'express'
 * import { createRedisManager, createUsage } from 'holdfast'
 *
 * const redis = createRedisManager()
 * const usage = createUsage({ redis })
 * const app = express()
 * app.use(usage.middleware())
 * app.get('/usage', async (_req, res) => {
 *   res.json(await usage.report({ from: Date.now() - 86_400_000, groupBy: 'operation' }))
 * })
 * ```
 */
export function createUsage(options: UsageOptions): Usage {
  const core = createUsageCore(options)
  return {
    ...core,
    middleware(given = {}) {
      checkOptions('usage.middleware', given, rules)
      const { user = knownUser, operation = routeOf, cost = 1 } = given
      return function usageMiddleware(req, res, next) {
        settle(req, res)
        const started = performance.now()
        res.once('close', () => {
          const durationMs = performance.now() - started
          const price = typeof cost === 'number' ? cost : ask(() => cost(req, res), 1)
          const name = ask(() => operation(req), undefined) ?? 'unmatched'
          const failed = res.statusCode >= 500
          core.track(
            ask(() => user(req), undefined),
            name,
            { cost: price, durationMs, failed },
          )
        })
        next()
      }
    },
  }
}

/** The response has gone already: a function of the application that throws has nobody to tell. */
function ask<T>(read: () => T, otherwise: T): T {
  try {
    return read()
  } catch {
    return otherwise
  }
}

interface Known {
  readonly user?: { readonly id?: unknown; readonly sub?: unknown } | null
  readonly auth?: { readonly sub?: unknown } | null
  readonly session?: { readonly userId?: unknown } | null
}

function knownUser(req: Request): string | number | undefined {
  const { user, auth, session } = req as unknown as Known
  const id = user?.id ?? user?.sub ?? auth?.sub ?? session?.userId
  return typeof id === 'string' || typeof id === 'number' ? id : undefined
}

/** Undefined where no route matched: paths that anybody may invent are no operations. */
function routeOf(req: Request): string | undefined {
  const pattern = routePattern(req)
  return pattern === undefined ? undefined : `${req.method} ${pattern}`
}
