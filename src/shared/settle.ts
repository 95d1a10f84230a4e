/** Whether changing prototypes is slow here: V8 of Node 20 and 22. Measured, see docs/server.md. */
export function prototypesAreSlow(node: string = process.versions.node): boolean {
  return Number.parseInt(node, 10) < 24
}

/** On requests that have been settled, and on the prototype of those that need not be. */
export const settledMark: unique symbol = Symbol.for('holdfast.settled') as never

/**
 * Makes a request and its response cheap to use again. Express changes the prototypes of both, after which V8 before
 * version 13 (Node 24) gives each object a hidden class of its own, and another one for every property that is added
 * (expressjs/express#5998): no access is ever fast. Deleting a property that is not the last one makes V8 keep the
 * properties in a table instead, whose hidden class all requests share. It is put back at once. To be called first
 * thing by a middleware; later calls for the same request cost next to nothing.
 */
export const settle: (req: object, res: object) => void = prototypesAreSlow() ? settleBoth : () => {}

function settleBoth(req: object, res: object): void {
  // What somebody has frozen stays as it is.
  if (settledMark in req || !Object.isExtensible(req)) return
  asTable(req as Emitting)
  asTable(res as Emitting)
  Object.defineProperty(req, settledMark, { value: true })
}

interface Emitting {
  _events?: unknown
}

function asTable(object: Emitting): void {
  if (!Object.hasOwn(object, '_events') || !Object.isExtensible(object)) return
  const { _events } = object
  if (Reflect.deleteProperty(object, '_events')) object._events = _events
}
