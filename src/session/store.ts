import { RedisStore } from 'connect-redis'
import { Cookie, type SessionData, Store } from 'express-session'
import type { RedisManager } from '../redis/index.js'
import { ioredisShaped, nodeRedisShaped, type SessionWrite } from './adapter.js'
import type { SessionCore } from './core.js'
import type { SessionEnd } from './events.js'
import { type Holder, LiveSession, type Origin, Originated } from './live.js'
import { once } from './once.js'
import type { Facts, SessionRecord } from './record.js'
import { checkSize } from './size.js'

/** `RedisStore` of connect-redis 8, 9 or 10. */
export type ConnectRedisStore = new (options: {
  client: never
  prefix: string
  serializer: { parse(stored: never): SessionData; stringify(session: SessionData): string }
  ttl: (session: SessionData) => number
}) => Store

export interface StoreSettings {
  readonly redis: RedisManager
  readonly core: SessionCore
  readonly ConnectRedis?: ConnectRedisStore | undefined
  /** The user of a session that was logged in by other means than ours. */
  readonly userOf: (session: SessionData) => string | undefined
}

/** A session that has been read: its data, and the object that stands for it where there is one. */
export interface Known {
  readonly id: string
  readonly data: SessionData | null
  readonly session?: LiveSession
}

interface CookieData {
  readonly expires?: Date | string | null | undefined
  readonly originalMaxAge?: number | null | undefined
}

type Callback<T = unknown> = (error?: unknown, result?: T) => void

/**
 * The store express-session talks to. It hands everything to connect-redis and adds what connect-redis leaves open:
 * `disconnect` and `connect` events, callbacks called once and outside of any `try`, and what a write is based on.
 */
export class RedisSessionStore extends Store {
  readonly #settings: StoreSettings
  readonly #inner: Store
  readonly #offs: readonly (() => void)[]
  #announced: boolean
  /** What the load that is being started finds. */
  #known: Known | undefined
  #standing: LiveSession | undefined
  /** Why the removal that is being started is asked for. */
  #ending: SessionEnd = 'logout'

  constructor(settings: StoreSettings) {
    super()
    this.#settings = settings
    const { redis, core, ConnectRedis = RedisStore as unknown as ConnectRedisStore } = settings
    this.#announced = redis.available
    const ending = (): SessionEnd => this.#ending
    const shape = 'normalizeClient' in ConnectRedis.prototype ? ioredisShaped : nodeRedisShaped
    this.#inner = new ConnectRedis({
      client: shape(core, ending) as never,
      prefix: '',
      serializer: {
        parse: (record: never) => this.dataOf(record),
        // connect-redis passes on what it is given.
        stringify: (session) => this.#stringify(session) as unknown as string,
      },
      ttl: (session) => Math.ceil(this.#idleOf(session) / 1000),
    })
    const announce = (): void => this.announce()
    this.#offs = (['up', 'down', 'degraded', 'recovered'] as const).map((event) => redis.on(event, announce))
    // express-session listens only once it is mounted: what happened before is told to each listener.
    this.on('newListener', (event: string, listener: () => void) => {
      if (event === 'disconnect' && !this.#announced) queueMicrotask(listener)
    })
  }

  /** Tells express-session whether the store can be used. Must precede each of its requests: it trusts the last word. */
  announce(): void {
    const { available } = this.#settings.redis
    if (available === this.#announced) return
    this.#announced = available
    this.emit(available ? 'connect' : 'disconnect')
  }

  /** Runs what loads a session that has been read already. */
  knowing(known: Known, load: () => void): void {
    this.#known = known
    try {
      load()
    } finally {
      this.#known = undefined
    }
  }

  /** Gives the request the session of a record. */
  revive(request: Holder, record: SessionRecord): LiveSession {
    const session = sessionOf(request, record.data as Partial<SessionData>)
    Originated.set(session, this.#originOf(record, session as unknown as SessionData))
    request.session = session
    return session
  }

  /** The data of a session, with what its changes count from. */
  dataOf(record: SessionRecord): SessionData {
    const data = { ...record.data, cookie: record.data.cookie ?? {} } as SessionData
    Originated.set(data, this.#originOf(record, data))
    return data
  }

  originOf(session: object): Origin | undefined {
    return Originated.of(session)
  }

  /** Facts of a session object, stored or not. */
  factsOf(session: object): Facts {
    const origin = Originated.of(session)
    return origin?.facts ?? origin?.record?.facts ?? LiveSession.mintedOf(session) ?? {}
  }

  /** The session goes on under another id, stored as said. What it was read as stays what its changes count from. */
  renamed(session: object, record: SessionRecord): void {
    const { json, idle } = Originated.of(session) ?? record
    const version = json === record.json ? record.version : -1
    Originated.set(session, { json, version, idle, record, written: true })
    LiveSession.rename(session, record.id)
  }

  override get(id: string, callback?: Callback<SessionData | null>): void {
    const known = this.#known
    if (known?.id === id) {
      this.#known = undefined
      this.#standing = known.session
      return callback?.(null, known.data)
    }
    settle(this.#inner.get.bind(this.#inner, id), callback)
  }

  override set(id: string, session: SessionData, callback?: Callback): void {
    const origin = Originated.of(session)
    try {
      // express-session saves a session of a new id once more at the end of the response.
      if (origin?.written === true && origin.json === JSON.stringify(session)) return callback?.()
      if (origin === undefined) id = this.#claim(id, session)
    } catch (error) {
      return callback?.(error)
    }
    settle(this.#inner.set.bind(this.#inner, id, session), callback)
  }

  override touch(id: string, session: SessionData, callback?: () => void): void {
    const origin = Originated.of(session)
    // Loading it has restarted the idle time, unless its length is what the request changed.
    // Its length of express-session's making may be off by a millisecond or two.
    if (origin !== undefined && Math.abs(origin.idle - this.#nominalIdle(session)) < 1000) return callback?.()
    if (origin !== undefined) return this.set(id, session, callback)
    settle((this.#inner.touch as NonNullable<Store['touch']>).bind(this.#inner, id, session), callback)
  }

  override destroy(id: string, callback?: Callback): void {
    settle(this.#inner.destroy.bind(this.#inner, id), callback)
  }

  override regenerate(...[request, callback]: Parameters<Store['regenerate']>): void {
    this.#ending = 'renewed'
    try {
      super.regenerate(request, callback)
    } finally {
      this.#ending = 'logout'
    }
  }

  override all(callback: Callback<SessionData[]>): void {
    settle((done) => this.#inner.all?.(done as never), callback)
  }

  override length(callback: Callback<number>): void {
    settle((done) => this.#inner.length?.(done as never), callback)
  }

  override clear(callback?: Callback): void {
    settle((done) => this.#inner.clear?.(done), callback)
  }

  /** Handles, since no ids are stored. As with connect-redis they are for `get` and `destroy`. */
  ids(callback: Callback<string[]>): void {
    settle((done) => (this.#inner as unknown as { ids(callback: Callback<string[]>): void }).ids(done), callback)
  }

  /** As in express-session, but for the id, which may change while the request runs. */
  override createSession(...[request, data]: Parameters<Store['createSession']>): ReturnType<Store['createSession']> {
    const session = this.#standing ?? sessionOf(request as Holder, data)
    this.#standing = undefined
    const origin = Originated.of(data)
    if (origin !== undefined && Originated.of(session) === undefined) Originated.set(session, origin)
    const live = session as unknown as ReturnType<Store['createSession']>
    ;(request as Holder).session = session
    return live
  }

  close(): void {
    for (const off of this.#offs) off()
  }

  /** A new session in which another log-in than ours has put a user, such as Passport's: the id becomes one of theirs. */
  #claim(id: string, session: SessionData): string {
    const facts = LiveSession.mintedOf(session)
    if (facts === undefined || facts.userId !== undefined || !LiveSession.is(session)) return id
    const userId = this.#settings.userOf(session)
    if (userId === undefined || session.req.res?.headersSent === true) return id
    LiveSession.mint(session, { ...facts, userId, authenticatedAt: Date.now() })
    const claimed = this.#settings.core.mint(userId)
    LiveSession.rename(session, claimed)
    return claimed
  }

  #stringify(session: SessionData): SessionWrite {
    const { core, redis, userOf } = this.#settings
    const json = JSON.stringify(session)
    checkSize(json, session, core.maxBytes)
    const origin = Originated.of(session)
    const minted = LiveSession.mintedOf(session)
    if (origin !== undefined && userOf(session) !== undefined && this.factsOf(session).userId === undefined) {
      redis.warn(
        'HOLDFAST_SESSION_SAME_ID',
        'a user was put into a session that keeps its id: session fixation is possible, and the session is not among ' +
          'those of its user; log in with req.sessions.login() or regenerate the session first',
      )
    }
    return {
      json,
      idle: Math.max(Math.ceil(this.#idleOf(session)), 1),
      absolute: core.absolute,
      base: origin,
      facts: minted,
      // Whoever sets plain data through the store's own methods means to write it, as with connect-redis.
      replace: minted === undefined,
      saved: (version) => {
        const idle = this.#nominalIdle(session)
        const facts = origin?.facts ?? minted
        Originated.set(session, { json, version, idle, record: origin?.record, facts, written: true })
      },
    }
  }

  /**
   * Milliseconds that the session may be idle: what its cookie was given, if that has an end, else the store's. Not what
   * is left of the cookie that was stored: use prolongs the session and leaves that as it was, and an explicit save()
   * would end a session in use.
   */
  #idleOf({ cookie }: SessionData): number {
    const { originalMaxAge, expires } = cookie ?? {}
    if (typeof originalMaxAge === 'number') return originalMaxAge
    if (expires === undefined || expires === null) return this.#settings.core.idle
    return new Date(expires).getTime() - Date.now()
  }

  #originOf(record: SessionRecord, data: SessionData): Origin {
    const { json, version } = record
    return { json, version, idle: this.#nominalIdle(data), record }
  }

  #nominalIdle({ cookie }: SessionData): number {
    return cookie?.originalMaxAge ?? this.#settings.core.idle
  }
}

/** As express-session makes it: the cookie an object with its methods, its end a date. */
function sessionOf(request: Holder, data: Partial<SessionData>): LiveSession {
  const stored: CookieData = data.cookie ?? {}
  const { expires, originalMaxAge } = stored
  const cookie = new (Cookie as new (options: object) => Cookie)(stored)
  if (typeof expires === 'string') cookie.expires = new Date(expires)
  cookie.originalMaxAge = originalMaxAge ?? null
  return new LiveSession(request, request.sessionID as string, data, cookie)
}

/** Starts an operation of connect-redis so that nothing is thrown at the caller and the callback is called once. */
function settle<T>(
  start: (done: (error?: unknown, result?: T) => void) => unknown,
  callback: Callback<T> = () => {},
): void {
  // Out of the promise in which connect-redis calls back: what the callback throws is an error of its own.
  const done = once((error?: unknown, result?: T) => queueMicrotask(() => callback(error, result)))
  try {
    start(done)
  } catch (error) {
    done(error)
  }
}
