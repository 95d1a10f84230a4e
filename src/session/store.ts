import { RedisStore } from 'connect-redis'
import { type SessionData, Store } from 'express-session'
import type { RedisManager } from '../redis/index.js'
import { ioredisShaped, nodeRedisShaped, type SessionWrite } from './adapter.js'
import type { SessionEnd } from './events.js'
import { once } from './once.js'
import type { SessionRecord, SessionRepository } from './repository.js'
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
  readonly repository: SessionRepository
  readonly ConnectRedis?: ConnectRedisStore | undefined
  readonly idle: number
  readonly absolute: number
  readonly touchAfter: number
  readonly maxBytes: number
}

/** What is known of a session object: how it is stored, and when it was read. */
export interface Origin {
  readonly json: string
  readonly version: number
  readonly idle: number
  /** Absent where this request created it. */
  readonly record?: SessionRecord
}

type Callback<T = unknown> = (error?: unknown, result?: T) => void

/**
 * The store express-session talks to. It hands everything to connect-redis and adds what connect-redis leaves open:
 * `disconnect` and `connect` events, callbacks called once and outside of any `try`, and what a write is based on.
 */
export class RedisSessionStore extends Store {
  readonly #settings: StoreSettings
  readonly #inner: Store
  readonly #origins = new WeakMap<object, Origin>()
  readonly #minted = new WeakSet<object>()
  #announced: boolean
  /** Whether the load that is being started restarts the idle time. */
  #touching = true
  /** Why the removal that is being started is asked for. */
  #ending: SessionEnd = 'logout'

  constructor(settings: StoreSettings) {
    super()
    this.#settings = settings
    this.#announced = settings.redis.available
    const { redis, repository, ConnectRedis = RedisStore as unknown as ConnectRedisStore } = settings
    const touchAfter = (): number => (this.#touching ? settings.touchAfter : -1)
    const ending = (): SessionEnd => this.#ending
    const shape = 'normalizeClient' in ConnectRedis.prototype ? ioredisShaped : nodeRedisShaped
    this.#inner = new ConnectRedis({
      client: shape(repository, { touchAfter, ending }) as never,
      prefix: '',
      serializer: {
        parse: (record: never) => this.#parse(record),
        // connect-redis passes on what it is given.
        stringify: (session) => this.#stringify(session) as unknown as string,
      },
      ttl: (session) => Math.ceil(this.idleOf(session) / 1000),
    })
    for (const event of ['up', 'down', 'degraded', 'recovered'] as const) redis.on(event, () => this.announce())
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

  /** Runs what loads a session without restarting its idle time. */
  untouched(load: () => void): void {
    this.#touching = false
    try {
      load()
    } finally {
      this.#touching = true
    }
  }

  originOf(session: object): Origin | undefined {
    return this.#origins.get(session)
  }

  /** A session that express-session generated: its first write creates it. */
  minted(session: object): void {
    this.#minted.add(session)
  }

  /** The idle time in milliseconds: that of its cookie, if it has one, else the store's. */
  idleOf(session: {
    readonly cookie?: { readonly originalMaxAge?: number | null; readonly expires?: unknown }
  }): number {
    const { cookie } = session
    if (cookie?.expires === undefined || cookie.expires === null) return this.#settings.idle
    return new Date(cookie.expires as string).getTime() - Date.now()
  }

  override get(id: string, callback?: Callback<SessionData | null>): void {
    settle(this.#inner.get.bind(this.#inner, id), callback)
  }

  override set(id: string, session: SessionData, callback?: Callback): void {
    const origin = this.#origins.get(session)
    if (origin !== undefined && origin.record === undefined && origin.json === JSON.stringify(session)) {
      // express-session saves a regenerated session once more at the end of the response.
      return callback?.()
    }
    settle(this.#inner.set.bind(this.#inner, id, session), callback)
  }

  override touch(id: string, session: SessionData, callback?: () => void): void {
    const origin = this.#origins.get(session)
    // Loading it has restarted the idle time, unless its length is what the request changed.
    if (origin !== undefined && origin.idle === nominalIdle(session, this.#settings.idle)) return callback?.()
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

  override createSession(...[request, data]: Parameters<Store['createSession']>): ReturnType<Store['createSession']> {
    const session = super.createSession(request, data)
    const origin = this.#origins.get(data)
    if (origin !== undefined) this.#origins.set(session, origin)
    return session
  }

  #parse(record: SessionRecord): SessionData {
    const data = { ...record.data, cookie: record.data.cookie ?? {} } as SessionData
    const idle = nominalIdle(data, this.#settings.idle)
    this.#origins.set(data, { json: record.json, version: record.version, idle, record })
    return data
  }

  #stringify(session: SessionData): SessionWrite {
    const { absolute, maxBytes, idle: defaultIdle } = this.#settings
    const json = JSON.stringify(session)
    checkSize(json, session, maxBytes)
    const origin = this.#origins.get(session)
    const idle = Math.max(Math.ceil(this.idleOf(session)), 1)
    return {
      json,
      idle,
      absolute,
      base: origin,
      // Whoever sets plain data through the store's own methods means to write it, as with connect-redis.
      replace: !this.#minted.has(session),
      saved: (version) => {
        const record = origin?.record
        const next = { json, version, idle: nominalIdle(session, defaultIdle) }
        this.#origins.set(session, record === undefined ? next : { ...next, record })
      },
      gone: () => {},
    }
  }
}

function nominalIdle(session: { readonly cookie?: { originalMaxAge?: number | null } }, idle: number): number {
  return session.cookie?.originalMaxAge ?? idle
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
