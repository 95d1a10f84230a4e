import type { Request, RequestHandler } from 'express'
import { addressOf } from '../shared/address.js'
import { aBoolean, aFunction, checkOptions, type Rules } from '../shared/options.js'
import type { SecurityEventDetails } from './event.js'
import { createLogCore, type SecurityLog } from './log.js'
import { observe } from './observe.js'
import { logRules, type SecurityLogOptions } from './options.js'
import type { EventAlias, OwaspEventType, OwnEventType } from './vocabulary.js'

export interface SecurityMiddlewareOptions<Own extends OwnEventType = never> extends SecurityLogOptions<Own> {
  /** Records 400, 401, 403, 422 and 429 answers by themselves. @default true */
  readonly observe?: boolean | undefined
  /** Who is asking. @default `req.user.id`, `req.user.sub`, `req.auth.sub`, `req.session.userId`, the first there is */
  readonly user?: ((req: Request) => string | number | undefined) | undefined
  /** What ties the logs of one request together. @default `req.id`, else the `X-Request-Id` header */
  readonly requestId?: ((req: Request) => string | undefined) | undefined
}

/** Records events of one request: who, from where and what for are filled in. */
export interface RequestSecurity {
  record(type: OwaspEventType | EventAlias | OwnEventType, details?: SecurityEventDetails): string
}

/** A middleware that observes requests, and the log itself. */
export interface SecurityMiddleware<Own extends OwnEventType = never> extends RequestHandler, SecurityLog<Own> {}

declare global {
  namespace Express {
    interface Request {
      /** Of the middleware `securityLog`. */
      security: RequestSecurity
    }
  }
}

export const middlewareRules: Rules<SecurityMiddlewareOptions<OwnEventType>> = {
  ...logRules,
  observe: aBoolean,
  user: aFunction,
  requestId: aFunction,
}

/**
 * A security log that is also a middleware: mounted, it records refused requests and gives every request
 * `req.security.record()`. Recording never waits for Redis and never throws; see {@link SecurityLog} for its methods.
 *
 * @example
 * ```ts
 * import express from 'express'
 * import { createRedisManager, securityLog } from 'holdfast'
 *
 * const redis = createRedisManager()
 * const security = securityLog({ redis, app: 'shop' })
 * const app = express()
 * app.use(security)
 * app.delete('/users/:id', (req, res) => {
 *   req.security.record('user_deleted', { target: req.params.id, audit: true })
 *   res.sendStatus(204)
 * })
 * ```
 */
export function securityLog<Own extends OwnEventType = never>(
  options: SecurityMiddlewareOptions<Own>,
): SecurityMiddleware<Own> {
  checkOptions('securityLog', options, middlewareRules)
  const { observe: observing = true, user = userOf, requestId = requestIdOf } = options
  const { redis } = options
  const { digest: _, now: __, append, ...log } = createLogCore('securityLog', options)
  let limiterReports = false
  const off = redis.on('limit.exceeded', () => {
    limiterReports = true
  })

  const handler: RequestHandler = function securityMiddleware(req, res, next) {
    req.security = {
      record: (type, details) => append(type, withFacts(req, details))?.id ?? '',
    }
    if (observing) {
      res.once('finish', () => {
        const outcome = { status: res.statusCode, credentials: hasCredentials(req), limiterReports }
        const seen = observe(outcome)
        if (seen !== undefined) append(seen[0], withFacts(req, { ...seen[1], status: res.statusCode }))
      })
    }
    next()
  }

  function withFacts(req: Request, details: SecurityEventDetails | undefined): SecurityEventDetails {
    return {
      userId: attempt(user, req),
      ip: addressOf(req),
      userAgent: req.headers['user-agent'],
      requestId: attempt(requestId, req),
      method: req.method,
      path: routeOf(req),
      sessionId: sessionOf(req),
      ...details,
    }
  }

  return Object.assign(handler, log, {
    close() {
      off()
      return log.close()
    },
  })
}

/** A function of the application must not turn recording into an error. */
function attempt<T>(read: (req: Request) => T, req: Request): T | undefined {
  try {
    return read(req)
  } catch {
    return undefined
  }
}

interface Known {
  readonly id?: unknown
  readonly user?: { readonly id?: unknown; readonly sub?: unknown } | null
  readonly auth?: { readonly sub?: unknown } | null
  readonly session?: { readonly userId?: unknown } | null
  readonly sessionID?: unknown
}

function userOf(req: Request): string | number | undefined {
  const { user, auth, session } = req as unknown as Known
  const id = user?.id ?? user?.sub ?? auth?.sub ?? session?.userId
  return typeof id === 'string' || typeof id === 'number' ? id : undefined
}

function requestIdOf(req: Request): string | undefined {
  const { id } = req as unknown as Known
  const given = id ?? req.headers['x-request-id']
  return typeof given === 'string' || typeof given === 'number' ? String(given) : undefined
}

function sessionOf(req: Request): string | undefined {
  const { session, sessionID } = req as unknown as Known
  return session && typeof sessionID === 'string' ? sessionID : undefined
}

function hasCredentials({ headers }: Request): boolean {
  return headers.authorization !== undefined || headers.cookie !== undefined
}

/** The pattern of the route, so that ids in paths are no names; where none matched, the path without its query. */
function routeOf(req: Request): string {
  const route: unknown = (req.route as { readonly path?: unknown } | undefined)?.path
  if (typeof route === 'string') return `${req.baseUrl}${route}`
  const { originalUrl } = req
  const end = originalUrl.indexOf('?')
  return end < 0 ? originalUrl : originalUrl.slice(0, end)
}
