import type { ServerResponse } from 'node:http'
import { isPromise } from '../shared/awaitable.js'
import type { Ahead, Counting } from './ahead.js'

type Next = (error?: unknown) => void

export interface Part<Req, Res> {
  readonly handle: (req: Req, res: Res, next: Next) => unknown
  readonly ahead: Ahead<Req, Res> | undefined
}

/** One request on its way through the parts, in their order. */
export class Passage<Req extends object, Res extends ServerResponse> {
  readonly #parts: readonly Part<Req, Res>[]
  readonly #req: Req
  readonly #res: Res
  readonly #next: Next
  /** The part that has the request. */
  #at = 0
  /** Parts before this one have been entered or begun. */
  #begun = 0
  /** A limiter that counts while a part in front of it is still at work. */
  #counted: { readonly at: number; readonly by: Counting<Req, Res>; readonly started: unknown } | undefined

  constructor(parts: readonly Part<Req, Res>[], req: Req, res: Res, next: Next) {
    this.#parts = parts
    this.#req = req
    this.#res = res
    this.#next = next
  }

  enter(at: number): void {
    const part = this.#parts[at]
    if (part === undefined) return this.#next()
    this.#at = at
    let passed = false
    const next: Next = (error) => {
      // express-session also calls `next` after the response, to report what failed then.
      if (error !== undefined && error !== null) return this.#fail(error)
      if (passed) return
      passed = true
      this.enter(at + 1)
    }
    // As Express does with a layer: whatever is thrown, now or in a promise, is an error of the request.
    try {
      const returned = this.#call(part, at, next)
      if (isPromise(returned)) {
        returned.then(undefined, (error: unknown) => this.#fail(error ?? new Error('Rejected promise')))
      }
    } catch (error) {
      return this.#fail(error)
    }
    if (this.#at === at && !this.#res.headersSent) this.#beginBehind(part, at)
  }

  #call({ handle }: Part<Req, Res>, at: number, next: Next): unknown {
    const counted = this.#counted
    if (counted?.at !== at) return handle(this.#req, this.#res, next)
    this.#counted = undefined
    return counted.by.apply(counted.started, this.#req, this.#res, next)
  }

  /** While a part waits for Redis, those behind it ask as well: one write and one round trip for all of them. */
  #beginBehind({ ahead }: Part<Req, Res>, at: number): void {
    if (ahead === undefined) return
    let passes = ahead.passes
    this.#begun = Math.max(this.#begun, at + 1)
    for (let part = this.#parts[this.#begun]; part?.ahead !== undefined; part = this.#parts[++this.#begun]) {
      const { read, counting } = part.ahead
      if (read !== undefined) {
        try {
          read(this.#req)
        } catch {
          // It is asked again in its turn, where what it throws can be told.
        }
      } else if (passes && counting !== undefined) this.#count(counting, this.#begun)
      passes &&= part.ahead.passes
    }
  }

  #count(by: Counting<Req, Res>, at: number): void {
    this.#counted = { at, by, started: by.start(this.#req) }
    // Of a response whose client has gone `finish` never comes.
    this.#res.once('close', () => this.#abandon())
  }

  #fail(error: unknown): void {
    this.#abandon()
    this.#next(error)
  }

  /** Something in front of the limiter has answered: mounted, it would not have been asked. */
  #abandon(): void {
    const counted = this.#counted
    if (counted === undefined) return
    this.#counted = undefined
    counted.by.abandon(counted.started)
  }
}
