import type { Request, RequestHandler, Response } from 'express'
import expressSession from 'express-session'
import {
  aBoolean,
  aFunction,
  anObject,
  aString,
  checkOptions,
  either,
  oneOf,
  type Rules,
  requireOptions,
} from '../shared/options.js'
import { commitFirst } from './commit.js'
import { COOKIE_DEFAULTS, carriesCookie, cookieName } from './cookie.js'
import { createCore } from './core.js'
import { useEphemeralSession } from './ephemeral.js'
import { isSessionUnavailable } from './errors.js'
import { aSecret, coreRules, type SessionCoreOptions } from './options.js'
import { refuse } from './refuse.js'
import { RequestSessions } from './request-sessions.js'
import { type ConnectRedisStore, RedisSessionStore } from './store.js'

export type CookieOptions = expressSession.CookieOptions

/** What a request gets whose session cannot be asked for. */
export type WhenUnavailable = 'passthrough' | 'ephemeral' | 'reject'

export type { RequestSessions, SessionState } from './request-sessions.js'

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
}

const rules: Rules<RedisSessionOptions> = {
  ...coreRules,
  secret: aSecret,
  onUnavailable: either(oneOf('passthrough', 'ephemeral', 'reject'), aFunction),
  noTouch: aFunction,
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
    proxy,
    rolling = false,
    resave = false,
    saveUninitialized = false,
    unset = 'keep',
    RedisStore,
  } = options
  const core = createCore(options, typeof cookie === 'function' ? undefined : cookie.maxAge)
  const store = new RedisSessionStore({
    ...core,
    redis,
    ConnectRedis: RedisStore as ConnectRedisStore | undefined,
  })
  const session = expressSession({
    store,
    secret: typeof secret === 'string' ? secret : [...secret],
    name,
    cookie:
      typeof cookie === 'function'
        ? (req) => ({ ...COOKIE_DEFAULTS, secure: req.secure, ...cookie(req) })
        : { ...COOKIE_DEFAULTS, ...cookie },
    genid: () => core.mint(),
    proxy,
    rolling,
    resave,
    saveUninitialized,
    unset,
  })
  commitFirst(store, saveUninitialized, (error, phase) => unavailable(error, phase))
  let advised = false

  const handler: RequestHandler = function sessionMiddleware(req, res, next) {
    if (req.session !== undefined) return next()
    req.sessions = new RequestSessions()
    store.announce()
    if (!redis.available) return withoutSession(req, res, next)
    let answered = false
    let asked = false
    const start = (): void => {
      session(req, res, (error?: unknown) => {
        // express-session also reports what went wrong after the response, to a `next` that went on long ago.
        if (answered) return late(error, next)
        answered = true
        if (isSessionUnavailable(error)) {
          unavailable(error, 'load')
          return withoutSession(req, res, next)
        }
        if (error !== undefined && error !== null) return next(error)
        if (req.session !== undefined) {
          req.sessions.state = 'ready'
          if (store.originOf(req.session) === undefined) newcomer(req, !asked)
        }
        next()
      })
    }
    if (noTouch?.(req) === true) store.untouched(start)
    else start()
    asked = true
  }

  return Object.assign(handler, { store })

  function withoutSession(req: Request, res: Response, next: (error?: unknown) => void): void {
    // With an id and no session, express-session would destroy the session where `unset` is 'destroy'.
    Object.assign(req, { session: undefined, sessionID: undefined })
    req.sessions.state = 'unavailable'
    const answer = typeof onUnavailable === 'function' ? onUnavailable(req) : onUnavailable
    if (answer === 'reject') return refuse(res, 'session-unavailable')
    if (answer === 'ephemeral') useEphemeralSession(req)
    next()
  }

  function late(error: unknown, next: (error?: unknown) => void): void {
    if (isSessionUnavailable(error)) unavailable(error, 'save')
    else next(error)
  }

  function unavailable(error: unknown, operation: 'load' | 'save' | 'destroy'): void {
    const { reason, kind, code } = error as { reason?: string; kind?: string; code?: string }
    redis.emit('session.unavailable', { operation, reason: reason ?? kind ?? code ?? 'error' })
  }

  /** The request came without a session of ours: was that what its client wanted? */
  function newcomer(req: Request, unasked: boolean): void {
    if (unasked && carriesCookie(req.headers.cookie, name)) {
      redis.emit('session.rejected', { reason: 'signature' })
    }
    if (advised || req.secure || req.headers['x-forwarded-proto'] !== 'https' || proxy !== undefined) return
    advised = true
    redis.warn(
      'HOLDFAST_SESSION_TRUST_PROXY',
      "requests come by https through a proxy that Express does not trust: set app.set('trust proxy', 1), or cookies " +
        'are not Secure, and not sent at all where cookie.secure is true',
    )
  }
}
