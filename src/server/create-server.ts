import { createServer as createHttpServer, type RequestListener, type Server, type ServerOptions } from 'node:http'
import {
  createServer as createHttpsServer,
  type ServerOptions as HttpsOptions,
  type Server as HttpsServer,
} from 'node:https'
import { ConfigurationError } from '../shared/errors.js'
import { show } from '../shared/options.js'
import { prototypesAreSlow } from '../shared/settle.js'
import { FrontLane } from './front/front-lane.js'
import type { FrontOptions } from './front/options.js'
import { type ExpressApplication, expressConstructors } from './prototypes.js'

/**
 * `http.createServer(app)` (`https` where the options hold a key or certificate), on which bare Express answers 2.5 to
 * 3 times as many requests on Node 20 and 22. On Node 24 and later, where nothing is to be gained, it is exactly
 * `http.createServer(options, app)`.
 *
 * Throws a `ConfigurationError` for anything but an Express application, and for a middleware in `front` that cannot
 * answer there.
 *
 * @example
 * ```ts
 * import express from 'express'
 * import { createServer } from 'holdfast/server'
 *
 * const app = express()
 * createServer(app).listen(3000)
 * ```
 */
export function createServer(
  app: ExpressApplication,
  options: HttpsOptions & FrontOptions & { key: unknown },
): HttpsServer
export function createServer(app: ExpressApplication, options?: ServerOptions & FrontOptions): Server
export function createServer(
  app: ExpressApplication,
  { front = [], ...options }: (ServerOptions | HttpsOptions) & FrontOptions = {},
): Server {
  if (typeof app !== 'function' || !isObject(app.request) || !isObject(app.response)) {
    throw new ConfigurationError('createServer', 'app', `must be an Express application, got ${show(app)}`)
  }
  // Constructors of the caller's own have prototypes of their own: they win.
  const given = { ...(prototypesAreSlow() ? expressConstructors(app) : {}), ...options }
  const secure = ['key', 'cert', 'pfx', 'SNICallback'].some((name) => name in options)
  const listener = front.length === 0 ? app : withFront(app, front)
  return secure
    ? createHttpsServer(given as HttpsOptions, listener)
    : createHttpServer(given as ServerOptions, listener)
}

/** As Express' own `app.listen(port, …)`, on a server of {@link createServer}. */
export function listen(app: ExpressApplication, ...given: Parameters<Server['listen']>): Server {
  return createServer(app).listen(...given)
}

function withFront(app: ExpressApplication, middlewares: readonly object[]): RequestListener {
  const lane = new FrontLane(app, middlewares)
  return (req, res) => {
    const answered = lane.answers(req, res)
    if (answered === false) app(req, res)
    else if (answered !== true) {
      // In a tick of its own: what it may throw is an error of the process, as it is without a lane. Not where the client
      // has gone by now: middlewares would wait for a `close` that has been.
      void answered.then((done) => done || req.destroyed || process.nextTick(app, req, res))
    }
  }
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null
}
