import type { ServerResponse } from 'node:http'
import type { SessionData } from 'express-session'
import type { Exchange, Step } from './exchange.js'
import { LiveSession, Originated } from './live.js'
import { parseObject, type SessionRecord } from './record.js'
import type { RedisSessionStore } from './store.js'

type Method = (this: ServerResponse, ...args: unknown[]) => unknown
/** The methods of a response that express-session takes hold of. */
type Held = Record<'end' | 'write' | 'writeHead', Method>

/**
 * A session that was loaded without express-session, which has nothing to do for a request that only reads: at the end
 * of the response one comparison tells, where express-session serialises and hashes the session four times. Wherever
 * there is something to do, it is mounted after all, in the place in which it would have been from the start: below
 * whatever has wrapped the response since, and with the session as it was read.
 */
export class OnDemand {
  readonly #store: RedisSessionStore
  readonly #mount: Step
  readonly #request: Exchange
  readonly #response: ServerResponse
  readonly #id: string
  readonly #json: string
  readonly #session: LiveSession
  readonly #late: (error: unknown) => void
  /** As they were when express-session would have been mounted. */
  readonly #cookie: string | undefined
  readonly #url: string | undefined
  readonly #below: Held
  /** What to call: what was below, or what express-session has put there. */
  #held: Held
  #mounted = false
  #ended = false

  /** Gives the request its session. `late` is told of errors that nobody waits for. */
  constructor(
    { store, mount }: { readonly store: RedisSessionStore; readonly mount: Step },
    { request, response, late }: { request: Exchange; response: ServerResponse; late: (error: unknown) => void },
    { id, record }: { readonly id: string; readonly record: SessionRecord },
  ) {
    this.#store = store
    this.#mount = mount
    this.#request = request
    this.#response = response
    this.#late = late
    this.#id = id
    this.#json = record.json
    this.#cookie = request.headers.cookie
    this.#url = request.originalUrl
    request.sessionStore = store
    request.sessionID = id
    this.#session = store.revive(request, record)
    LiveSession.beforeUse(this.#session, () => this.#mountNow())
    const held = response as unknown as Held
    this.#below = { end: held.end, write: held.write, writeHead: held.writeHead }
    this.#held = this.#below
    held.end = (...args) => this.#end(args)
    held.writeHead = (...args) => {
      if (!this.#ended && !this.#onlyRead()) this.#mountNow()
      return this.#held.writeHead.apply(response, args)
    }
  }

  #end(args: unknown[]): unknown {
    // As with express-session: what follows the end is nobody's error.
    if (this.#ended) return false
    if (!this.#onlyRead()) this.#mountNow()
    this.#ended = true
    return this.#held.end.apply(this.#response, args)
  }

  #onlyRead(): boolean {
    if (this.#mounted) return false
    const { session, sessionID } = this.#request
    if (session === undefined || session === null || sessionID !== this.#id) return false
    const origin = Originated.of(session)
    return origin !== undefined && origin.written !== true && origin.json === textOf(session)
  }

  #mountNow(): void {
    if (this.#mounted) return
    this.#mounted = true
    const request = this.#request
    const { session, sessionID, originalUrl } = request
    const { cookie } = request.headers
    const held = this.#response as unknown as Held
    const above: Held = { end: held.end, write: held.write, writeHead: held.writeHead }
    // Meanwhile the cookie may have been taken off a request that is passed on, and the path been rewritten.
    place(request.headers, { cookie: this.#cookie })
    place(request, { session: undefined, originalUrl: this.#url })
    place(held, this.#below)
    // A copy of its own: the request may have changed what the session that it was given is made of.
    const data = { cookie: {}, ...parseObject(this.#json) } as SessionData
    let returned = false
    this.#store.knowing({ id: this.#id, data, session: this.#session }, () =>
      this.#mount(request, this.#response, (error) => {
        if (returned || (error !== undefined && error !== null)) this.#late(error)
        returned = true
      }),
    )
    this.#held = { end: held.end, write: held.write, writeHead: held.writeHead }
    place(held, above)
    place(request, { session, sessionID, originalUrl })
    place(request.headers, { cookie })
  }
}

/** Sets what differs, so that a method of the prototype does not become one of the object without need. */
function place<T extends object>(target: T, values: Partial<T>): void {
  for (const name of Object.keys(values) as (keyof T)[]) {
    if (target[name] !== values[name]) target[name] = values[name] as T[keyof T]
  }
}

/** Undefined for what cannot be stored: saying so is left to express-session. */
function textOf(session: object): string | undefined {
  try {
    return JSON.stringify(session)
  } catch {
    return undefined
  }
}
