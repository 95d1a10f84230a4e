import { IncomingMessage, type RequestListener, ServerResponse } from 'node:http'

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
  function Born(this: object, ...given: unknown[]): void {
    Reflect.apply(base as unknown as (...given: unknown[]) => void, this, given)
  }
  Born.prototype = prototype
  return Born as unknown as Base
}

/** Whether changing prototypes is slow here: V8 of Node 20 and 22. Measured, see docs/server.md. */
export function prototypesAreSlow(node: string = process.versions.node): boolean {
  return Number.parseInt(node, 10) < 24
}
