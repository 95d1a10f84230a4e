import type { Request, RequestHandler } from 'express'
import expressSession from 'express-session'
import { type Duration, toMs } from '../shared/duration.js'
import {
  aBoolean,
  aDuration,
  aFunction,
  anObject,
  aString,
  checkOptions,
  either,
  oneOf,
  type Rules,
  requireOptions,
} from '../shared/options.js'
import { settle } from '../shared/settle.js'
import { commitFirst } from './commit.js'
import { COOKIE_DEFAULTS, cookieName, cookieValue, signedId } from './cookie.js'
import { createCore } from './core.js'
import { describeDevice } from './device.js'
import type { Exchange, Step } from './exchange.js'
import { userOfPassport } from './identity.js'
import { Loading, type Visit } from './loading.js'
import { Newcomers } from './newcomers.js'
import { aSecret, coreRules, type SessionCoreOptions } from './options.js'
import { reportUnavailable, type WhenUnavailable, withoutSession } from './outage.js'
import type { Facts } from './record.js'
import { type Lifecycle, type RequestSessions, SessionsOfRequest } from './request-sessions.js'
import { type Sessions, sessionsOn } from './sessions.js'
import { type ConnectRedisStore, RedisSessionStore } from './store.js'

export type CookieOptions = expressSession.CookieOptions

export interface RedisSessionOptions extends SessionCoreOptions {
  /** Signs the cookie; of several the first signs and all are accepted. */
  readonly secret: string | readonly string[]
  /**
   * While Redis is away: `passthrough` leaves `req.session` undefined, `ephemeral` gives a session that lasts as long
   * as the request, `reject` answers 503. Never is a cookie set, cleared or replaced. @default 'passthrough'
   */
  readonly onUnavailable?: WhenUnavailable | ((req: Request) => WhenUnavailable) | undefined
  /** Requests that do not keep their session alive, such as polling. @default none */
  readonly noTouch?: ((req: Request) => boolean) | undefined
  /** After this time a session gets a new id; the old one leads to it for 30 s. @default '4h' */
  readonly renewAfter?: Duration | false | undefined
  /**
   * The user of a session whose log-in was not `req.sessions.login()`, so that it is listed among theirs.
   * @default what Passport stores
   */
  readonly userOf?: ((session: expressSession.SessionData) => string | undefined) | undefined
  /** Name of the cookie. @default '__Host-sid' where the cookie is `secure: true`, else 'sid' */
  readonly name?: string | undefined
  /** @default { httpOnly: true, sameSite: 'lax', secure: 'auto', path: '/' } */
  readonly cookie?: CookieOptions | ((req: Request) => CookieOptions) | undefined
  /** As in express-session. @default Express' `trust proxy` */
  readonly proxy?: boolean | undefined
  /** As in express-session. @default false */
  readonly rolling?: boolean | undefined
  /** As in express-session. @default false */
  readonly resave?: boolean | undefined
  /** As in express-session. @default false */
  readonly saveUninitialized?: boolean | undefined
  /** As in express-session. @default 'keep' */
  readonly unset?: 'destroy' | 'keep' | undefined
  /** Another version of connect-redis: its class. @default that of connect-redis 8 */
  readonly RedisStore?: unknown
}

export interface RedisSessionMiddleware extends RequestHandler {
  /** The store of express-session, for code that expects one. */
  readonly store: expressSession.Store
  /** The registry of all sessions: list, revoke, count. */
  readonly sessions: Sessions
  /**
   * Starts the read of the request's session before this middleware is called for it, which may then be never.
   *
   * @internal
   */
  prefetch(req: Request): void
  /** Stops listening to the manager, which stays open. */
  close(): void
}

const rules: Rules<RedisSessionOptions> = {
  ...coreRules,
  secret: aSecret,
  onUnavailable: either(oneOf('passthrough', 'ephemeral', 'reject'), aFunction),
  noTouch: aFunction,
  renewAfter: either(aDuration(1), oneOf(false)),
  userOf: aFunction,
  name: aString,
  cookie: either(anObject, aFunction),
  proxy: aBoolean,
  rolling: aBoolean,
  resave: aBoolean,
  saveUninitialized: aBoolean,
  unset: oneOf('destroy', 'keep'),
  RedisStore: aFunction,
}

declare global {
  namespace Express {
    interface Request {
      sessions: RequestSessions
    }
  }
}

/**
 * express-session over connect-redis over the shared manager. An outage of Redis loses, replaces and logs out nothing:
 * requests go on without a session (or as `onUnavailable` says) and find it again when Redis is back.
 *
 * @example
 * ```ts
 * import express from 'express'
 * import { createRedisManager } from 'holdfast'
 * import { redisSession } from 'holdfast/session'
 *
 * const app = express()
 * app.use(redisSession({ redis: createRedisManager(), secret: process.env.SESSION_SECRET ?? 'for development only' }))
 * ```
 */
export function redisSession(options: RedisSessionOptions): RedisSessionMiddleware {
  checkOptions('redisSession', options, rules)
  requireOptions('redisSession', options, rules, 'redis', 'secret')
  const {
    redis,
    secret,
    onUnavailable = 'passthrough',
    noTouch,
    cookie = {},
    name = cookieName(typeof cookie === 'function' ? {} : cookie),
    userOf = userOfPassport,
    renewAfter = '4h',
    proxy,
    rolling = false,
    resave = false,
    saveUninitialized = false,
    unset = 'keep',
    fallback,
    RedisStore,
  } = options
  const core = createCore(options, typeof cookie === 'function' ? undefined : cookie.maxAge)
  const secrets = typeof secret === 'string' ? [secret] : [...secret]
  const store = new RedisSessionStore({
    redis,
    core,
    userOf,
    ConnectRedis: RedisStore as ConnectRedisStore | undefined,
  })
  const cookieOf = (request: Exchange): CookieOptions =>
    typeof cookie === 'function' ? { ...COOKIE_DEFAULTS, ...cookie(request as Request) } : fixedCookie
  const fixedCookie: CookieOptions = { ...COOKIE_DEFAULTS, ...(typeof cookie === 'function' ? {} : cookie) }
  const loggingIn = new WeakMap<object, Facts>()
  const mount = expressSession({
    store,
    secret: secrets,
    name,
    cookie:
      typeof cookie === 'function'
        ? (req) => ({ ...COOKIE_DEFAULTS, secure: req.secure, ...cookie(req) })
        : { ...COOKIE_DEFAULTS, ...cookie },
    genid: (req) => core.mint(loggingIn.get(req)?.userId),
    proxy,
    rolling,
    resave,
    saveUninitialized,
    unset,
  }) as unknown as Step
  // Whether Redis is there is asked for each request, which is more than express-session would remember.
  store.removeAllListeners('disconnect')
  const factsOf = ({ headers, ip }: Exchange): Facts => ({ device: describeDevice(headers['user-agent']), address: ip })
  commitFirst(store, {
    saveUninitialized,
    factsOf: (request) => loggingIn.get(request) ?? factsOf(request),
    unavailable: (error) => reportUnavailable(redis, error, 'save'),
  })
  const lifecycle: Lifecycle = {
    core,
    store,
    userOf,
    factsOf,
    generate(request, facts) {
      loggingIn.set(request, facts)
      ;(store as unknown as Express.SessionStore).generate(request as Request)
      loggingIn.delete(request)
    },
    idInCookie: (request) => signedId(request.headers.cookie, name, secrets),
    clearCookie(request) {
      const { res, secure: https } = request as Request
      if (res === undefined || res.headersSent || cookieValue(request.headers.cookie, name) === undefined) return
      const { maxAge: _, expires: __, secure, ...attributes } = cookieOf(request)
      res.clearCookie(name, { ...attributes, secure: secure === 'auto' ? https : secure === true } as never)
    },
  }
  const outage = {
    core,
    judging: fallback !== undefined,
    onUnavailable: (request: Exchange) =>
      typeof onUnavailable === 'function' ? onUnavailable(request as Request) : onUnavailable,
  }
  const loading = new Loading({
    ...{ redis, core, store, mount, name, secrets },
    pathOf: (request) => cookieOf(request).path ?? '/',
    noTouch: noTouch as ((request: Exchange) => boolean) | undefined,
    onDemand: !resave && !rolling,
    renewal: renewAfter === false ? 0 : toMs(renewAfter),
    newcomers: new Newcomers(redis, name, proxy !== undefined),
    withoutSession: (request, response, next) => withoutSession(outage, request, response, next),
  })

  const handler: RequestHandler = function sessionMiddleware(req, res, next) {
    settle(req, res)
    if (req.session !== undefined) return next()
    const visit = req as unknown as Visit
    req.sessions = new SessionsOfRequest(lifecycle, visit)
    if (!redis.available) return withoutSession(outage, visit, res, next)
    loading.load(visit, res, next)
  }

  return Object.assign(handler, {
    store,
    sessions: sessionsOn(redis, core),
    prefetch: (req: Request) => loading.prefetch(req as unknown as Exchange),
    close() {
      store.close()
      core.close()
    },
  })
}
