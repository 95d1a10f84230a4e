import { once } from 'node:events'
import {
  request as ask,
  createServer,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { connect } from 'node:net'
import { it } from '@jest/globals'
import express, { type Express, type RequestHandler } from 'express'
import express4 from 'express4'
import request from 'supertest'
import { compose } from '../../src/compose/index.js'
import { rateLimit } from '../../src/rate-limit/index.js'
import type { RedisManager } from '../../src/redis/index.js'
import { type ResponseCacheOptions, responseCache } from '../../src/response-cache/index.js'
import { FrontLane } from '../../src/server/front/front-lane.js'
import { eventually } from '../support/eventually.js'
import { inFront } from './in-front.js'

/** An app in which one handler, counting its runs, stands behind a response cache. */
export interface Counted {
  readonly app: Express
  readonly cache: ReturnType<typeof responseCache>
  runs(): number
}

export interface AppOptions extends Partial<ResponseCacheOptions> {
  readonly redis: RedisManager
  readonly version?: 4 | 5
  /** Mounted before the cache. */
  readonly before?: readonly RequestHandler[]
  /** Mounted between the cache and the handler. */
  readonly after?: readonly RequestHandler[]
}

/** How the cache is put into the app: its tests are run again by those of `compose` and of the front lane. */
const FORM = process.env.HOLDFAST_CACHE_FORM as 'composed' | 'front' | 'front-redis' | undefined
const IN_FRONT = FORM === 'front' || FORM === 'front-redis'
/** For what counts requests: the front lane's form sends some of its own. */
export const itCounts: typeof it = IN_FRONT ? (it.skip as typeof it) : it

export function appWith(handler: RequestHandler, options: AppOptions): Counted {
  const { version = 5, before = [], after = [], ...rest } = options
  const app = version === 4 ? (express4() as unknown as Express) : express()
  const cache = responseCache({ ttl: '60s', ...rest, ...(FORM === 'front' ? { local: rest.key === undefined } : {}) })
  let runs = 0
  for (const middleware of before) app.use(middleware)
  app.use(FORM === 'composed' ? behindLimiter(cache, options) : cache)
  for (const middleware of after) app.use(middleware)
  app.use((req, res, next) => {
    runs++
    handler(req, res, next)
  })
  return { app: IN_FRONT && rest.key === undefined ? withLane(app, cache) : app, cache, runs: () => runs }
}

function behindLimiter(cache: RequestHandler, { redis }: AppOptions): RequestHandler {
  const limit = rateLimit({ redis, limit: 1_000_000, window: '1h', headers: false, user: false })
  return compose(limit as RequestHandler, cache)
}

/**
 * An app that answers itself before its own stack does. Tests ask once or twice, and a lane learns from Express: before
 * each request an equal one is sent to the stack, which answers it only from the cache.
 */
function withLane(app: Express, cache: RequestHandler): Express {
  const lane = new FrontLane(app, [cache])
  return new Proxy(app, {
    apply(_app, self, given: [IncomingMessage, ServerResponse]) {
      const [req] = given
      // supertest listens on another port for each request, and the lane knows requests by their host.
      if (req.headers.host?.startsWith('127.0.0.1:')) req.headers.host = '127.0.0.1'
      const dispatch = (): void => {
        void Promise.resolve(lane.answers(...given)).then((answered) => {
          if (answered) inFront.count++
          else Reflect.apply(app as unknown as () => void, self, given)
        })
      }
      const throughLane: RequestListener = (...taught) =>
        void Promise.resolve(lane.answers(...taught)).then((answered) => answered || app(...taught))
      if (req.method === 'GET' || req.method === 'HEAD') void teach(throughLane, req).then(dispatch)
      else dispatch()
    },
  })
}

async function teach(app: RequestListener, { method, url, headers }: IncomingMessage): Promise<void> {
  const { range, cookie, authorization, origin, connection, ...rest } = headers
  const plain = Object.entries(rest).filter(([name]) => !/^(?:if-|content-|transfer-|upgrade)/.test(name))
  const sent = { ...Object.fromEntries(plain), 'cache-control': 'only-if-cached' }
  const server = createServer(app).listen(0)
  await once(server, 'listening')
  for (let i = 0; i < 2; i++) {
    const { port } = server.address() as AddressInfo
    await new Promise<void>((resolve) => {
      const asked = ask({ port, method, path: url, headers: sent, agent: false }, (res) => {
        res.resume().once('close', resolve)
      })
      asked.once('error', () => resolve()).end()
    })
  }
  server.close()
}

/** A server that knows no script yet is sent the first writes twice; until then a read may overtake them. */
export async function warmUp(redis: RedisManager): Promise<void> {
  const app = express()
  app.use(
    responseCache({ redis, ttl: '10s', namespace: 'warm-up' }) as RequestHandler,
    (_req, res) => void res.send('x'),
  )
  await eventually(async () => (await request(app).get('/')).headers['x-cache'] === 'HIT')
}

/** Sends bytes as they are and gives back everything the server said until it closed the connection. */
export function raw(app: Express, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const server = app.listen(0, '127.0.0.1', () => {
      const socket = connect((server.address() as AddressInfo).port, '127.0.0.1', () => socket.write(text))
      let answer = ''
      socket.on('data', (chunk) => {
        answer += chunk.toString('latin1')
      })
      socket.on('error', reject)
      socket.on('close', () => server.close(() => resolve(answer)))
    })
  })
}
