import type { Request, RequestHandler, Response } from 'express'
import { ConfigurationError } from '../shared/errors.js'
import { show } from '../shared/options.js'
import { settle } from '../shared/settle.js'
import { aheadOf } from './ahead.js'
import { type Part, Passage } from './passage.js'

type Parts = readonly Part<Request, Response>[]

/** Composed middlewares are taken apart where they are composed again. */
const partsOf = new WeakMap<RequestHandler, Parts>()

/**
 * Middlewares as one: what they answer is what they would answer mounted one after the other in this order, but those
 * of Holdfast begin their reads together, so that limiter, session and response cache take one round trip to Redis
 * instead of three. Methods stay where they are, on the middlewares themselves.
 *
 * A middleware of another make is called in its turn, and what stands behind it begins after it. Throws a
 * `ConfigurationError` for what is no middleware.
 *
 * @example
 * ```ts
 * import express from 'express'
 * import { createRedisManager, rateLimit, responseCache } from 'holdfast'
 * import { compose } from 'holdfast/compose'
 * import { redisSession } from 'holdfast/session'
 *
 * const redis = createRedisManager()
 * const limit = rateLimit({ redis, limit: 100, window: '1m' })
 * const session = redisSession({ redis, secret: process.env.SESSION_SECRET ?? 'for development only' })
 * const products = responseCache({ redis, ttl: '60s', tags: ['products'] })
 *
 * const app = express()
 * app.get('/products', compose(limit, session, products), (_req, res) => res.json([{ name: 'Lamp' }]))
 * ```
 */
export function compose(...middlewares: readonly RequestHandler[]): RequestHandler {
  if (middlewares.length === 0) throw new ConfigurationError('compose', 'middlewares', 'must be at least one')
  const parts = middlewares.flatMap(partOf)
  const composed: RequestHandler = function composedMiddleware(req, res, next) {
    settle(req, res)
    new Passage(parts, req, res, next).enter(0)
  }
  partsOf.set(composed, parts)
  return composed
}

function partOf(middleware: RequestHandler): Parts {
  if (typeof middleware !== 'function' || middleware.length > 3) {
    const got = typeof middleware === 'function' ? 'an error handler' : show(middleware)
    throw new ConfigurationError(
      'compose',
      'middlewares',
      `must be functions of request, response and next, got ${got}`,
    )
  }
  return partsOf.get(middleware) ?? [{ handle: middleware, ahead: aheadOf(middleware) }]
}
