import type { IncomingMessage, ServerResponse } from 'node:http'
import { markMustRun, mustRunMark } from '../../shared/must-run.js'
import { settledMark } from '../../shared/settle.js'

/** What Express leaves on requests and responses, and body and cookie parsers on requests without a body. */
const OF_EXPRESS: ReadonlySet<PropertyKey> = new Set([
  ...['next', 'baseUrl', 'originalUrl', '_parsedUrl', '_parsedOriginalUrl', 'params', 'route', 'res', 'req', 'query'],
  ...['locals', 'statusCode', 'statusMessage', 'body', '_body', 'cookies', 'signedCookies', 'secret'],
])

/** Its router has symbols of its own; what settles a request does nothing that anybody can see. */
function isOfExpress(name: PropertyKey): boolean {
  if (typeof name !== 'symbol') return OF_EXPRESS.has(name)
  return name === settledMark || name.description?.startsWith('router.') === true
}

type Middleware<Req, Res> = (req: Req, res: Res, next: (error?: unknown) => void) => unknown

/**
 * A middleware that must run for every request: what stands behind it is never answered in front. Needed for those
 * alone that leave no trace, such as a check of a header; whatever changes the request or the response, or waits for
 * the response's end, is noticed.
 *
 * @example
 * ```ts
 * import express from 'express'
 * import { mustRun } from 'holdfast/server'
 *
 * const app = express()
 * app.use('/partners', mustRun((req, res, next) => {
 *   if (req.headers['x-api-key'] === process.env.API_KEY) next()
 *   else res.writeHead(401).end()
 * }))
 * ```
 */
export function mustRun<Req extends IncomingMessage, Res extends ServerResponse>(
  middleware: Middleware<Req, Res>,
): (req: Req, res: Res, next: (error?: unknown) => void) => unknown {
  return function neededMiddleware(req, res, next) {
    markMustRun(req)
    return middleware(req, res, next)
  }
}

/** Tells whether middlewares have done anything to an exchange that Express alone would not have. */
export class Traces {
  #request: ReadonlySet<PropertyKey> | undefined
  #response: ReadonlySet<PropertyKey> = new Set()
  #finish = 0
  #close = 0

  /** Every exchange is told of while it is new; the first one is remembered. */
  begin(req: IncomingMessage, res: ServerResponse): void {
    if (this.#request !== undefined) return
    this.#request = new Set(Reflect.ownKeys(req))
    this.#response = new Set(Reflect.ownKeys(res))
    this.#finish = res.listenerCount('finish')
    this.#close = res.listenerCount('close')
  }

  /**
   * `left`: a name that may be on the request, of a middleware that also waits for the end of the response where
   * `listens` is true.
   */
  none(
    req: IncomingMessage,
    res: ServerResponse,
    left: readonly (PropertyKey | undefined)[],
    listens: number,
  ): boolean {
    return (
      !(mustRunMark in req) &&
      Reflect.ownKeys(req).every((name) => this.#request?.has(name) || isOfExpress(name) || left.includes(name)) &&
      Reflect.ownKeys(res).every((name) => this.#response.has(name) || isOfExpress(name)) &&
      Object.keys((res as { locals?: object }).locals ?? {}).length === 0 &&
      res.listenerCount('finish') === this.#finish + listens &&
      res.listenerCount('close') === this.#close
    )
  }
}
