import { createHash } from 'node:crypto'
import type { Request, RequestHandler, Response } from 'express'
import expressSession from 'express-session'
import { addressOf } from '../shared/address.js'
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
import { commitFirst, type Exchange } from './commit.js'
import { COOKIE_DEFAULTS, cookieName, rawCookie, signedId } from './cookie.js'
import { createCore } from './core.js'
import { describeDevice } from './device.js'
import { useEphemeralSession } from './ephemeral.js'
import { isSessionUnavailable, SessionEndedError } from './errors.js'
import { bearerToken, userOfPassport } from './identity.js'
import { aSecret, coreRules, type SessionCoreOptions } from './options.js'
import { Prefetches } from './prefetch.js'
import type { Facts } from './record.js'
import { refuse } from './refuse.js'
import { type Lifecycle, type RequestSessions, SessionsOfRequest } from './request-sessions.js'
import { type Sessions, sessionsOn } from './sessions.js'
import { type ConnectRedisStore, RedisSessionStore } from './store.js'
import { endUnchanged } from './unchanged.js'

export type CookieOptions = expressSession.CookieOptions

/** What a request gets whose session cannot be asked for. */
export type WhenUnavailable = 'passthrough' | 'ephemeral' | 'reject'

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
  const loggingIn = new WeakMap<object, Facts>()
  const session = expressSession({
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
  })
  const factsOf = (request: Exchange): Facts => {
    const { headers, ip } = request as Request
    return { device: describeDevice(headers['user-agent']), address: ip }
  }
  commitFirst(store, {
    saveUninitialized,
    factsOf: (request) => loggingIn.get(request) ?? factsOf(request),
    unavailable,
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
    idInCookie: (request) => signedId((request as Request).headers.cookie, name, secrets),
    clearCookie(request) {
      const req = request as Request
      if (req.res === undefined || req.res.headersSent || rawCookie(req.headers.cookie, name) === undefined) return
      const { secure, ...attributes } = { ...COOKIE_DEFAULTS, ...(typeof cookie === 'function' ? cookie(req) : cookie) }
      const { maxAge: _, expires: __, ...rest } = attributes as CookieOptions
      req.res.clearCookie(name, { ...rest, secure: secure === 'auto' ? req.secure : secure === true } as never)
    },
  }
  const lazy = !resave && !rolling
  const prefetches = new Prefetches(core)
  const renewal = renewAfter === false ? 0 : toMs(renewAfter)
  let advised = false

  const handler: RequestHandler = function sessionMiddleware(req, res, next) {
    if (req.session !== undefined) return next()
    req.sessions = new SessionsOfRequest(lifecycle, req as Exchange)
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
        if (req.session === undefined) return next()
        req.sessions.state = 'ready'
        const record = store.originOf(req.session)?.record
        if (record !== undefined && lazy) endUnchanged(store, req, res)
        if (record === undefined) newcomer(req, !asked)
        // The cookie has the id of before: its client has not seen, or not stored, the new one yet.
        else if (record.id !== req.sessionID) store.renamed(req.session, record)
        else if (renewal > 0 && record.now - record.idMadeAt >= renewal) return renew(req, next)
        next()
      })
    }
    const load = (): void => store.answering(prefetches.take(req), start)
    if (noTouch?.(req) === true) store.untouched(load)
    else load()
    asked = true
  }

  return Object.assign(handler, {
    store,
    sessions: sessionsOn(redis, core),
    prefetch(req: Request): void {
      if (req.session !== undefined || !redis.available) return
      const id = signedId(req.headers.cookie, name, secrets)
      if (id !== undefined) prefetches.start(req, id)
    },
    close() {
      store.close()
      core.close()
    },
  })

  function withoutSession(req: Request, res: Response, next: (error?: unknown) => void): void {
    // With an id and no session, express-session would destroy the session where `unset` is 'destroy'.
    Object.assign(req, { session: undefined, sessionID: undefined })
    req.sessions.state = 'unavailable'
    const token = fallback === undefined ? undefined : bearerToken(req.headers.authorization)
    if (token === undefined) return goOn(req, res, next)
    core.judge(token).then((judged) => {
      if (judged === undefined) return goOn(req, res, next)
      req.sessions.degrade(judged)
      next()
    }, next)
  }

  function goOn(req: Request, res: Response, next: (error?: unknown) => void): void {
    const answer = typeof onUnavailable === 'function' ? onUnavailable(req) : onUnavailable
    if (answer === 'reject') return refuse(res, 'session-unavailable')
    if (answer === 'ephemeral') useEphemeralSession(req)
    next()
  }

  function late(error: unknown, next: (error?: unknown) => void): void {
    if (isSessionUnavailable(error)) unavailable(error, 'save')
    else next(error)
  }

  /** A session goes on under its old id where the new one cannot be had now. */
  function renew(req: Request, next: (error?: unknown) => void): void {
    req.sessions.renew().then(
      () => next(),
      (error: unknown) => {
        // Where the session ended meanwhile, the request goes on with what it read, and writes nothing.
        if (isSessionUnavailable(error)) unavailable(error, 'save')
        else if (!(error instanceof SessionEndedError)) return next(error)
        next()
      },
    )
  }

  function unavailable(error: unknown, operation: 'load' | 'save' | 'destroy'): void {
    const { reason, kind, code } = error as { reason?: string; kind?: string; code?: string }
    redis.emit('session.unavailable', { operation, reason: reason ?? kind ?? code ?? 'error' })
  }

  /** The request came without a session of ours: was that what its client wanted? */
  function newcomer(req: Request, unasked: boolean): void {
    const raw = unasked ? rawCookie(req.headers.cookie, name) : undefined
    if (raw !== undefined && redis.listens('session.rejected')) {
      const cookie = createHash('sha256').update(raw).digest('base64url').slice(0, 16)
      redis.emit('session.rejected', { reason: 'signature', address: addressOf(req), cookie })
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
