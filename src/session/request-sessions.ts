import type { Session, SessionData } from 'express-session'
import type { SessionCore } from './core.js'
import { SessionEndedError, SessionUnavailableError } from './errors.js'
import type { Exchange } from './exchange.js'
import type { Degraded } from './fallback.js'
import { LiveSession } from './live.js'
import type { Facts } from './record.js'
import { idOfUser, type UserRef } from './sessions.js'
import type { RedisSessionStore } from './store.js'
import type { ListedSession } from './users.js'

/**
 * `none`: not asked for here. `unavailable`: it may well exist, nobody can tell. `degraded`: nobody can tell either, but
 * an access token says who the user is.
 */
export type SessionState = 'none' | 'ready' | 'unavailable' | 'degraded'

export interface LoginOptions {
  /** Keys of the session before the log-in that the new one starts with, such as a cart. @default none */
  readonly keep?: readonly string[] | undefined
}

/** What the middleware shares with each request's {@link SessionsOfRequest}. */
export interface Lifecycle {
  readonly core: SessionCore
  readonly store: RedisSessionStore
  readonly userOf: (session: SessionData) => string | undefined
  /** Makes `request.session` a new one with these facts, not stored yet. */
  readonly generate: (request: Exchange, facts: Facts) => void
  readonly factsOf: (request: Exchange) => Facts
  /** The id in the request's cookie, if we signed it; for requests whose session could not be asked for. */
  readonly idInCookie: (request: Exchange) => string | undefined
  readonly clearCookie: (request: Exchange) => void
}

type Live = Session & SessionData

const GRACE = 30_000
const TRIES = 5

/**
 * What a request knows of its session and can do with it, besides its data: `req.sessions`. Its members only, without
 * the brand of a class: a program that sees the package as an ES module and as CommonJS meets it twice.
 */
export type RequestSessions = Pick<SessionsOfRequest, keyof SessionsOfRequest>

export class SessionsOfRequest {
  state: SessionState = 'none'
  readonly #shared: Lifecycle
  readonly #request: Exchange
  #degraded: Degraded | undefined

  constructor(shared: Lifecycle, request: Exchange) {
    this.#shared = shared
    this.#request = request
  }

  /** Who is logged in, also where `state` is `degraded`. */
  get userId(): string | undefined {
    if (this.#degraded !== undefined) return this.#degraded.userId
    const session = this.#session
    if (session === undefined) return undefined
    return this.#shared.store.factsOf(session).userId ?? this.#shared.userOf(session)
  }

  /** When the user last proved who they are. */
  get authenticatedAt(): Date | undefined {
    const session = this.#session
    const at = session === undefined ? undefined : this.#shared.store.factsOf(session).authenticatedAt
    return at === undefined ? undefined : new Date(at)
  }

  /** For the middleware: an access token has been judged. */
  degrade(judged: Degraded): void {
    this.#degraded = judged
    this.state = 'degraded'
  }

  /**
   * Logs a user in under a new id, against session fixation. Resolves once it is stored; rejects, and changes nothing,
   * where it cannot be (503).
   */
  async login(user: UserRef, { keep = [] }: LoginOptions = {}): Promise<void> {
    const before = this.#ready()
    const oldId = this.#request.sessionID as string
    const { store, core } = this.#shared
    const userId = idOfUser(user)
    const facts = { ...this.#shared.factsOf(this.#request), userId, authenticatedAt: Date.now() }
    this.#shared.generate(this.#request, facts)
    const session = this.#session as Live
    for (const key of keep) {
      if (key !== 'cookie' && Object.hasOwn(before, key)) Object.assign(session, { [key]: before[key as keyof Live] })
    }
    const error = await saved(session)
    if (error !== undefined) {
      Object.assign(this.#request, { session: before, sessionID: oldId })
      throw error
    }
    if (store.originOf(before) !== undefined) await core.remove(oldId, 'renewed')
  }

  /** Ends the session. While Redis is away it ends here at once, and everywhere when Redis returns. */
  async logout(): Promise<void> {
    const id = this.#request.sessionID ?? this.#shared.idInCookie(this.#request)
    Object.assign(this.#request, { session: undefined, sessionID: undefined })
    this.#shared.clearCookie(this.#request)
    if (id !== undefined) await this.#shared.core.remove(id, 'logout')
  }

  /**
   * Gives the session a new id, for a change of rights. Requests on their way with the old one still find it for 30 s.
   * `reauthenticated` says that the user has just proved who they are.
   */
  async rotate({ reauthenticated = false }: { readonly reauthenticated?: boolean } = {}): Promise<void> {
    const session = this.#ready()
    const error = await saved(session)
    if (error !== undefined) throw error
    await this.#exchange(session, { always: true, reauthenticated })
  }

  /** For the middleware: a new id for a session that had its own for long, unless a parallel request got it one. */
  async renew(): Promise<void> {
    await this.#exchange(this.#ready(), { always: false, reauthenticated: false })
  }

  async #exchange(
    session: Live,
    { always, reauthenticated }: { always: boolean; reauthenticated: boolean },
  ): Promise<void> {
    const { store, core } = this.#shared
    const asked = this.#request.sessionID as string
    for (let attempt = 0; attempt < TRIES; attempt++) {
      const found = await core.find(asked)
      if (found.status === 'unavailable') throw new SessionUnavailableError('outage', found.reason)
      if (found.status !== 'found') throw new SessionEndedError()
      const { record } = found
      if (!always && record.id !== asked) return store.renamed(session, record)
      const facts = reauthenticated ? { ...record.facts, authenticatedAt: Date.now() } : record.facts
      const rotated = await core.repository.rotate(record, core.mint(facts.userId), facts, GRACE)
      // Undefined also where a parallel request was faster: then the id leads to its successor now.
      if (rotated !== undefined) return store.renamed(session, rotated)
    }
    throw new SessionUnavailableError('conflict', 'too many parallel rotations')
  }

  /** The devices of the user who is logged in. */
  async list(): Promise<ListedSession[]> {
    return this.#shared.core.users.list(this.#user(), this.#request.sessionID)
  }

  /** Logs the user out of another device, named by its handle. */
  async revoke(handle: string): Promise<boolean> {
    return this.#shared.core.users.revoke(this.#user(), handle)
  }

  /** Logs the user out of every other device. Gives how many there were. */
  async revokeOthers(): Promise<number> {
    return this.#shared.core.users.revokeAll(this.#user(), this.#request.sessionID)
  }

  /** Gives the value to the first request that asks, and removes it: for OAuth state, CSRF tokens, flash messages. */
  async take(field: string): Promise<unknown> {
    return this.#shared.core.fields.take(await this.#stored(), field)
  }

  /** True where nothing was set before. */
  async setOnce(field: string, value: unknown): Promise<boolean> {
    return this.#shared.core.fields.setOnce(await this.#stored(), field, value)
  }

  /** The sum, exact among parallel requests. */
  async increment(field: string, by = 1): Promise<number> {
    return this.#shared.core.fields.increment(await this.#stored(), field, by)
  }

  get #session(): Live | undefined {
    return (this.#request.session ?? undefined) as Live | undefined
  }

  #ready(): Live {
    const session = this.#session
    if (this.state !== 'ready' || session === undefined) {
      throw new SessionUnavailableError('outage', 'it cannot be changed now')
    }
    return session
  }

  #user(): string {
    const { userId } = this
    if (this.state !== 'ready') throw new SessionUnavailableError('outage', 'nobody can tell whose it is')
    if (userId === undefined) throw new TypeError('nobody is logged in')
    return userId
  }

  /** The id of a session that exists in Redis. */
  async #stored(): Promise<string> {
    const session = this.#ready()
    const { core, store } = this.#shared
    if (store.originOf(session) === undefined) {
      // express-session sends the cookie of a session without data only where its id has changed.
      LiveSession.rename(session, core.mint())
      const error = await saved(session)
      if (error !== undefined) throw error
    }
    return this.#request.sessionID as string
  }
}

function saved(session: Live): Promise<unknown> {
  return new Promise((resolve) => {
    session.save((error?: unknown) => resolve(error ?? undefined))
  })
}
