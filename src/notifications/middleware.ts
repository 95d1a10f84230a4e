import type { Request, RequestHandler } from 'express'
import { asyncHandler } from '../shared/async-handler.js'
import { aFunction, anInteger, checkOptions, type Rules, requireOptions } from '../shared/options.js'
import type { EventSink } from './connection.js'
import type { StreamRefusal } from './events.js'
import { type NotifierOptions, resolve } from './options.js'
import { createCore, type NotifierService } from './service.js'
import { emit, type StreamRequest } from './streams.js'

export interface StreamOptions {
  /** Whose stream this is; nobody's (`undefined`) is answered 401. Only what you have authenticated may decide. */
  readonly user: (req: Request) => User | Promise<User>
  /** Topics the stream follows besides, at most 50. @default none */
  readonly topics?: ((req: Request) => readonly string[] | Promise<readonly string[]>) | undefined
  /** How many of the latest notifications a client is sent that does not say where it was. @default 20 */
  readonly recent?: number | undefined
}

type User = string | number | undefined

/** Notifications: kept in Redis, shown live over server-sent events. */
export interface Notifier extends NotifierService {
  /**
   * A handler for GET that answers with a stream of events (`EventSource` in browsers). A client that comes back with
   * its `Last-Event-ID` is sent what it missed, in order and once, or a `gap` event where part of it is gone.
   */
  stream(options: StreamOptions): RequestHandler
}

const rules: Rules<StreamOptions> = { user: aFunction, topics: aFunction, recent: anInteger(0, 1000) }

const MAX_TOPICS = 50
const REFUSALS: Readonly<Record<StreamRefusal, { status: number; title: string }>> = {
  'user-limit': { status: 429, title: 'Too many open streams' },
  'total-limit': { status: 503, title: 'Too many open streams' },
  closed: { status: 503, title: 'Closing' },
}

/**
 * Tells users what happened, wherever they are connected: each notification is stored in Redis and shown at once on
 * every open stream, over all processes.
 *
 * @example
 * ```ts
 * import express from 'express'
 * import { createNotifier, createRedisManager } from 'holdfast'
 *
 * const notifier = createNotifier({ redis: createRedisManager(), history: 100 })
 * const app = express()
 * app.get('/events', notifier.stream({ user: (req) => req.get('X-User') }))
 * app.post('/orders', async (req, res) => {
 *   await notifier.notify('ada', { type: 'order', data: { id: 17 } })
 *   res.sendStatus(201)
 * })
 * ```
 */
export function createNotifier(options: NotifierOptions): Notifier {
  const settings = resolve(options)
  const { redis } = settings
  const { service, streams } = createCore(settings)

  function stream(given: StreamOptions): RequestHandler {
    checkOptions('stream', given, rules)
    requireOptions('stream', given, rules, 'user')
    const { user: userOf, topics: topicsOf = () => [], recent = 20 } = given

    // Nothing but what node:http and node:http2 share, so that it works below either.
    return asyncHandler<Request, NodeResponse>(async function streamMiddleware(req, res, next) {
      if (req.method !== 'GET') return next()
      const [id, topics] = await Promise.all([userOf(req), topicsOf(req)])
      if (id === undefined || id === null || id === '') return refuse(res, 401, 'Unauthorized')
      if (topics.length > MAX_TOPICS) throw new RangeError(`stream: at most ${MAX_TOPICS} topics, got ${topics.length}`)
      // The client may have gone while it was being looked up: then nothing would ever end the stream.
      if (res.destroyed || req.destroyed) return
      const user = String(id)
      const reason = streams.refusal(user)
      if (reason !== undefined) {
        emit(redis, { type: 'refused', reason })
        return refuse(res, REFUSALS[reason].status, REFUSALS[reason].title, '5')
      }
      res.writeHead(200, {
        'Content-Type': 'text/event-stream; charset=utf-8',
        // Without no-transform, compression would keep events back to fill its buffers.
        'Cache-Control': 'no-cache, no-transform',
        'X-Accel-Buffering': 'no',
      })
      const request: StreamRequest = { user, topics, lastEventId: req.headers['last-event-id'], recent }
      streams.open(res, request)
    }) as RequestHandler
  }

  return { ...service, stream }
}

interface NodeResponse extends EventSink {
  readonly destroyed: boolean
  writeHead(status: number, headers: Readonly<Record<string, string>>): unknown
  end(body?: string): unknown
}

function refuse(res: NodeResponse, status: number, title: string, retryAfter?: string): void {
  res.writeHead(status, {
    'Content-Type': 'application/problem+json; charset=utf-8',
    'Cache-Control': 'no-store',
    ...(retryAfter === undefined ? {} : { 'Retry-After': retryAfter }),
  })
  res.end(JSON.stringify({ title, status }))
}
