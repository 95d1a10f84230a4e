import type { ServerResponse } from 'node:http'
import type { RedisManager } from '../redis/index.js'
import { Memo } from '../shared/memo.js'
import { signedId } from './cookie.js'
import type { SessionCore } from './core.js'
import { isSessionUnavailable, SessionEndedError, SessionUnavailableError } from './errors.js'
import type { Exchange, Step } from './exchange.js'
import type { Newcomers } from './newcomers.js'
import { OnDemand } from './on-demand.js'
import { reportUnavailable } from './outage.js'
import { Prefetches } from './prefetch.js'
import type { Found, SessionRecord } from './record.js'
import type { SessionsOfRequest } from './request-sessions.js'
import type { RedisSessionStore } from './store.js'

export type Visit = Exchange & { readonly sessions: SessionsOfRequest }

export interface LoadingSettings {
  readonly redis: RedisManager
  readonly core: SessionCore
  readonly store: RedisSessionStore
  /** express-session. */
  readonly mount: Step
  readonly name: string
  readonly secrets: readonly string[]
  readonly pathOf: (request: Exchange) => string
  readonly noTouch: ((request: Exchange) => boolean) | undefined
  /** Whether express-session has nothing to do for a request that only reads. */
  readonly onDemand: boolean
  /** Ms after which an id is renewed; 0 for never. */
  readonly renewal: number
  readonly newcomers: Newcomers
  readonly withoutSession: (request: Visit, response: ServerResponse, next: (error?: unknown) => void) => void
}

/** Gives requests their sessions: those of a signed cookie by one read of its own, all others through express-session. */
export class Loading {
  readonly #settings: LoadingSettings
  readonly #prefetches: Prefetches
  /** Ids in Cookie headers whose signature was found good: checking one costs more than reading its session. */
  readonly #verified = new Memo<string>(2000, 512)

  constructor(settings: LoadingSettings) {
    this.#settings = settings
    this.#prefetches = new Prefetches(settings.core)
  }

  /** Starts the read of a request that may yet be refused. */
  prefetch(request: Exchange): void {
    if ((request.session !== undefined && request.session !== null) || !this.#settings.redis.available) return
    const id = this.#idOf(request)
    if (id !== undefined) this.#prefetches.start(request, id)
  }

  load(request: Visit, response: ServerResponse, next: (error?: unknown) => void): void {
    const { core, noTouch } = this.#settings
    const id = this.#prefetches.idOf(request) ?? this.#idOf(request)
    if (id === undefined) return this.#mount(request, response, next, false)
    const touchAfter = noTouch?.(request) === true ? -1 : core.touchAfter
    const found = this.#prefetches.take(request, id, touchAfter) ?? core.find(id, touchAfter)
    found.then((answer) => this.#loaded(id, answer, request, response, next), next)
  }

  #loaded(id: string, found: Found, request: Visit, response: ServerResponse, next: (error?: unknown) => void): void {
    const { redis, store, withoutSession } = this.#settings
    if (found.status === 'unavailable') {
      reportUnavailable(redis, new SessionUnavailableError('outage', found.reason), 'load')
      return withoutSession(request, response, next)
    }
    if (found.status !== 'found') {
      return store.knowing({ id, data: null }, () => this.#mount(request, response, next, true))
    }
    const { record } = found
    if (!this.#settings.onDemand) {
      const data = store.dataOf(record)
      return store.knowing({ id, data }, () => this.#mount(request, response, next, true))
    }
    try {
      const late = (error: unknown): void => this.#late(error, next)
      new OnDemand(this.#settings, { request, response, late }, { id, record })
    } catch (error) {
      // Its cookie is none that express-session can read.
      return next(error)
    }
    this.#ready(request, record, next)
  }

  /** Leaves it to express-session what the request gets. */
  #mount(request: Visit, response: ServerResponse, next: (error?: unknown) => void, signed: boolean): void {
    const { redis, store, mount, newcomers, withoutSession } = this.#settings
    let answered = false
    mount(request, response, (error) => {
      // express-session also reports what went wrong after the response, to a `next` that went on long ago.
      if (answered) return this.#late(error, next)
      answered = true
      if (isSessionUnavailable(error)) {
        reportUnavailable(redis, error, 'load')
        return withoutSession(request, response, next)
      }
      if (error !== undefined && error !== null) return next(error)
      const { session } = request
      if (session === undefined || session === null) return next()
      const record = store.originOf(session)?.record
      if (record !== undefined) return this.#ready(request, record, next)
      request.sessions.state = 'ready'
      newcomers.see(request, signed)
      next()
    })
  }

  #ready(request: Visit, record: SessionRecord, next: (error?: unknown) => void): void {
    const { store, renewal } = this.#settings
    request.sessions.state = 'ready'
    // The cookie has the id of before: its client has not seen, or not stored, the new one yet.
    if (record.id !== request.sessionID) store.renamed(request.session as object, record)
    else if (renewal > 0 && record.now - record.idMadeAt >= renewal) return this.#renew(request, next)
    next()
  }

  /** A session goes on under its old id where the new one cannot be had now. */
  #renew(request: Visit, next: (error?: unknown) => void): void {
    request.sessions.renew().then(
      () => next(),
      (error: unknown) => {
        // Where the session ended meanwhile, the request goes on with what it read, and writes nothing.
        if (isSessionUnavailable(error)) reportUnavailable(this.#settings.redis, error, 'save')
        else if (!(error instanceof SessionEndedError)) return next(error)
        next()
      },
    )
  }

  #late(error: unknown, next: (error?: unknown) => void): void {
    if (isSessionUnavailable(error)) reportUnavailable(this.#settings.redis, error, 'save')
    else next(error)
  }

  /** The id that express-session would find, where it looks for one. */
  #idOf(request: Exchange): string | undefined {
    const { name, secrets, pathOf } = this.#settings
    const { cookie } = request.headers
    if (cookie === undefined) return undefined
    if (!(request.originalUrl ?? request.url ?? '').startsWith(pathOf(request))) return undefined
    let id = this.#verified.get(cookie)
    if (id === undefined) {
      id = signedId(cookie, name, secrets)
      if (id !== undefined) this.#verified.set(cookie, id)
    }
    return id
  }
}
