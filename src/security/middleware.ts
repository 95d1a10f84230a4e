import type { Request, RequestHandler, Response } from 'express'
import { addressOf } from '../shared/address.js'
import { aBoolean, aFunction, checkOptions, type Rules } from '../shared/options.js'
import { settle } from '../shared/settle.js'
import { agentFamily } from './agent.js'
import { neighbourhood, subscriber } from './detectors/network.js'
import { isProbe, isSensitivePath } from './detectors/requests.js'
import { createDeviceCookies } from './device.js'
import type { SecurityEventDetails } from './event.js'
import { factsOf, hasCredentials, headerOf, pathOf, requestIdOf, safely, sessionOf, userOf } from './facts.js'
import { createParts, type Known } from './log.js'
import { createLoginMiddleware, type LoginOptions } from './login/middleware.js'
import { observe } from './observe.js'
import { logRules, type SecurityLogOptions } from './options.js'
import { RecentlySeen } from './recently-seen.js'
import { refuse } from './refuse.js'
import { RequestContext, type RequestSecurity } from './request-context.js'
import { withSeam } from './seam.js'
import type { SecurityLog } from './security-log.js'
import type { OwnEventType } from './vocabulary.js'

export interface SecurityMiddlewareOptions<Own extends OwnEventType = never> extends SecurityLogOptions<Own> {
  /** Records 400, 401, 403, 422 and 429 answers by themselves. @default true */
  readonly observe?: boolean | undefined
  /** Who is asking. @default `req.user.id`, `req.user.sub`, `req.auth.sub`, `req.session.userId`, the first there is */
  readonly user?: ((req: Request) => string | number | undefined) | undefined
  /** What ties the logs of one request together. @default `req.id`, else the `X-Request-Id` header */
  readonly requestId?: ((req: Request) => string | undefined) | undefined
}

/** A middleware that observes requests, and the log itself. */
export interface SecurityMiddleware<Own extends OwnEventType = never> extends RequestHandler, SecurityLog<Own> {
  /**
   * For the route that takes the password, after the body parser: recognises known devices, refuses or slows down what
   * enforced detectors found, records the outcome by the status, and gives a signed device cookie with a success.
   */
  login(options: LoginOptions): RequestHandler
}

declare global {
  namespace Express {
    interface Request {
      /** Of the middleware `securityLog`. */
      security: RequestSecurity
    }
  }
}

const middlewareRules: Rules<SecurityMiddlewareOptions<OwnEventType>> = {
  ...logRules,
  observe: aBoolean,
  user: aFunction,
  requestId: aFunction,
}

/** A device is known for this long after its last log-in. */
const DEVICE_LIFETIME = 90 * 86_400_000

/**
 * A security log that is also a middleware: mounted, it records refused requests, watches for attacks and gives every
 * request `req.security.record()`. Recording never waits for Redis and never throws; see {@link SecurityLog} for its
 * methods. Detectors observe and alert; what they do besides is an explicit choice: `enforce`.
 *
 * @example
 * ```ts
 * import express from 'express'
 * import { createRedisManager, securityLog } from 'holdfast'
 *
 * const redis = createRedisManager()
 * const security = securityLog({ redis, app: 'shop', enforce: ['bruteForcePair', 'honeypot'], honeypots: ['/wp-login.php'] })
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
  const { redis, secret, observe: observing = true, user = userOf, requestId = requestIdOf } = options
  const { log, append, guard, digest, now } = createParts('securityLog', options)
  const devices = secret === undefined ? undefined : createDeviceCookies(secret, DEVICE_LIFETIME, now)
  const fingerprints = new RecentlySeen(10_000)
  let limiterReports = false
  const off = redis.on('limit.exceeded', () => {
    limiterReports = true
  })

  const recordFor = (req: Request) => (type: unknown, details?: SecurityEventDetails, known?: Known) =>
    append(
      type,
      {
        userId: safely(() => user(req)),
        requestId: safely(() => requestId(req)),
        ...factsOf(req),
        ...details,
      },
      known,
    )

  const handler: RequestHandler = function securityMiddleware(req, res, next) {
    settle(req, res)
    const context = new RequestContext(recordFor(req), () => {
      const userId = safely(() => user(req))
      return userId !== undefined && guard.find({ kind: 'user', userId: String(userId) }, 'stepUp') !== undefined
    })
    req.security = context
    const ip = addressOf(req)
    const path = pathOf(req)
    if (guard.isHoneypot(path)) guard.request({ ip, path, status: 0, reason: 'honeypot' })
    const blocked = blockedFor(ip)
    if (blocked !== undefined) return refuse(res, blocked)
    res.once('finish', () => onFinish(req, res, context, ip, path))
    next()
  }

  /** How long an address is blocked yet, in ms. */
  function blockedFor(ip: string | undefined): number | undefined {
    const network = subscriber(ip)
    const block = network === undefined ? undefined : guard.find({ kind: 'network', network }, 'block')
    return block === undefined || guard.allowed(ip) ? undefined : block.until - now()
  }

  function onFinish(req: Request, res: Response, context: RequestContext, ip: string | undefined, path: string): void {
    const status = res.statusCode
    if (observing && context.login === undefined) {
      const seen = observe({ status, credentials: hasCredentials(req), limiterReports })
      if (seen !== undefined) context.append(seen[0], { ...seen[1], status })
    }
    watchRequest(req, status, ip, path)
  }

  /** Most requests are of no interest to any detector and cost it nothing. */
  function watchRequest(req: Request, status: number, ip: string | undefined, path: string): void {
    const userId = safely(() => user(req))
    // Visitors without a log-in get a new session id with each request, and have nothing to steal.
    const sessionId = userId === undefined ? undefined : sessionOf(req)
    const agent = sessionId === undefined ? undefined : agentFamily(headerOf(req, 'user-agent'))
    const isNew = sessionId !== undefined && fingerprints.changed(sessionId, `${agent}|${neighbourhood(ip)}`)
    if (!isNew && !(status >= 400 && (isProbe(path, status) || isSensitivePath(path)))) return
    guard.request({
      ...{ ip, path, status, agent, method: req.method },
      userId: userId === undefined ? undefined : String(userId),
      session: sessionId === undefined ? undefined : digest('session', sessionId),
    })
  }

  return Object.assign(withSeam(handler, { isTrap: guard.isHoneypot, blockedFor, refuse }), log, {
    login: (loginOptions: LoginOptions) => createLoginMiddleware(loginOptions, { guard, devices, digest, now }),
    close() {
      off()
      return log.close()
    },
  })
}
