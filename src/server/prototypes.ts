import { IncomingMessage, type RequestListener, ServerResponse } from 'node:http'
import { settledMark } from '../shared/settle.js'

/** An Express application, 4 or 5: a listener that gives every request and response its own prototypes. */
export interface ExpressApplication extends RequestListener {
  readonly request: object
  readonly response: object
  get(setting: string): unknown
}

export interface Constructors {
  readonly IncomingMessage: typeof IncomingMessage
  readonly ServerResponse: typeof ServerResponse
}

/**
 * Constructors of requests and responses that have Express' prototypes from birth. Express sets these prototypes on
 * every request anyway; setting the one an object has already changes nothing, while changing it makes V8 before
 * version 13 (Node 24) treat every later property of the object as slow (expressjs/express#5998).
 */
export function expressConstructors(app: ExpressApplication): Constructors {
  Object.defineProperty(app.request, settledMark, { value: true, configurable: true })
  return {
    IncomingMessage: withPrototype(IncomingMessage, app.request),
    ServerResponse: withPrototype(ServerResponse, app.response),
  }
}

function withPrototype<Base extends typeof IncomingMessage | typeof ServerResponse>(
  base: Base,
  prototype: object,
): Base {
  // A function, not a class: the prototype of a class cannot be exchanged.
  function Born(this: Record<string, unknown>, first: unknown, second: unknown): void {
    Reflect.apply(base as unknown as (...given: unknown[]) => void, this, [first, second])
    // Never true. V8 makes room in an object for the properties that its constructor's text assigns, and Node assigns
    // some forty in constructors that this one only calls: without the room each response takes 2 µs longer to make.
    if (base === undefined) {
      this.a = this.b = this.c = this.d = this.e = this.f = this.g = this.h = this.i = this.j = this.k = this.l = 0
      this.m = this.n = this.o = this.p = this.q = this.r = this.s = this.t = this.u = this.v = this.w = this.x = 0
      this.aa = this.ab = this.ac = this.ad = this.ae = this.af = this.ag = this.ah = this.ai = this.aj = this.ak = 0
    }
  }
  Born.prototype = prototype
  return Born as unknown as Base
}
