import { Session } from 'express-session'
import type { Facts, SessionRecord } from './record.js'

/** What {@link Session} asks of a request. */
export interface Holder {
  sessionID?: string | undefined
  session?: object | null | undefined
  sessionStore?: unknown
  readonly res?: { readonly headersSent: boolean }
}

type Callback = (error?: unknown) => void
/** The methods of a session that express-session wraps. */
type Wrapped = Record<'save' | 'reload', (this: object, callback?: Callback) => unknown>

/** How a session object relates to what is stored. */
export interface Origin {
  /** What is stored, as far as this request knows, and at which version. */
  readonly json: string
  readonly version: number
  readonly idle: number
  /** Absent where this request created the session. */
  readonly record?: SessionRecord | undefined
  /** Its facts, where they are not those of `record`. */
  readonly facts?: Facts | undefined
  /** Whether this request wrote `json`. */
  readonly written?: boolean
}

class Given {
  constructor(object: object) {
    // biome-ignore lint/correctness/noConstructorReturn: so that a subclass can put a private field onto any object
    return object
  }
}

/**
 * The origin of an object, in a private field of it: unlike a property it is invisible to code that looks at sessions,
 * unlike a WeakMap it costs the garbage collector nothing.
 */
export class Originated extends Given {
  #origin: Origin | undefined

  static of(object: object): Origin | undefined {
    return #origin in object ? (object as Originated).#origin : undefined
  }

  static set(object: object, origin: Origin): void {
    const originated = #origin in object ? (object as Originated) : new Originated(object)
    originated.#origin = origin
  }
}

/** A session as express-session makes it, but that its id can change while the request runs. */
export class LiveSession {
  #id: string
  readonly #holder: Holder
  /** Of a session that is not stored yet. */
  #minted: Facts | undefined
  #beforeUse: (() => void) | undefined

  constructor(holder: Holder, id: string, data: object, cookie?: object) {
    this.#holder = holder
    this.#id = id
    for (const key of Object.keys(data)) {
      if (!(key in this)) (this as Record<string, unknown>)[key] = (data as Record<string, unknown>)[key]
    }
    if (cookie !== undefined) (this as Record<string, unknown>).cookie = cookie
  }

  get id(): string {
    return this.#id
  }

  get req(): Holder {
    return this.#holder
  }

  save(callback?: Callback): unknown {
    return this.#wrapped('save', callback)
  }

  reload(callback: Callback): unknown {
    return this.#wrapped('reload', callback)
  }

  #wrapped(method: 'save' | 'reload', callback?: Callback): unknown {
    const before = this.#beforeUse
    if (before === undefined) return (Session.prototype as unknown as Wrapped)[method].call(this, callback)
    this.#beforeUse = undefined
    before()
    return this[method](callback as Callback)
  }

  /** Calls this before express-session's part in the session is needed for the first time. */
  static beforeUse(session: LiveSession, call: () => void): void {
    session.#beforeUse = call
  }

  static is(session: object): session is LiveSession {
    return #id in session
  }

  static mintedOf(session: object): Facts | undefined {
    return #id in session ? (session as LiveSession).#minted : undefined
  }

  static mint(session: object, facts: Facts): void {
    if (#id in session) (session as LiveSession).#minted = facts
  }

  static rename(session: object, id: string): void {
    if (!(#id in session)) return
    const live = session as LiveSession
    live.#id = id
    if (live.#holder.session === live) live.#holder.sessionID = id
  }
}

Object.setPrototypeOf(LiveSession.prototype, Session.prototype)
