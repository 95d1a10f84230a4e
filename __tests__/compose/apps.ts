import { randomUUID } from 'node:crypto'
import express, { type Express, type Request, type RequestHandler, type Response } from 'express'
import express4 from 'express4'
import { compose } from '../../src/compose/index.js'
import { type RateLimitOptions, rateLimit } from '../../src/rate-limit/index.js'
import type { RedisManager } from '../../src/redis/index.js'
import { type ResponseCacheOptions, responseCache } from '../../src/response-cache/index.js'
import { type RedisSessionOptions, redisSession } from '../../src/session/index.js'

export type Form = 'mounted' | 'composed'
export const FORMS: readonly Form[] = ['mounted', 'composed']

export interface StackOptions {
  readonly redis: RedisManager
  readonly form: Form
  readonly order?: readonly ('limit' | 'session' | 'cache')[] | undefined
  readonly version?: 4 | 5
  readonly limit?: Partial<RateLimitOptions>
  readonly session?: Partial<RedisSessionOptions>
  readonly cache?: Partial<ResponseCacheOptions>
  /** Of another make, after those of the order. */
  readonly others?: readonly RequestHandler[]
}

export interface Stack {
  readonly app: Express
  readonly limit: ReturnType<typeof rateLimit>
  readonly session: ReturnType<typeof redisSession>
  readonly cache: ReturnType<typeof responseCache>
  runs(): number
}

/** Mounts middlewares one after the other, or as one. */
function mount(app: Express, form: Form, ...middlewares: readonly RequestHandler[]): void {
  if (form === 'composed') app.use(compose(...middlewares))
  else for (const each of middlewares) app.use(each)
}

/** Limiter, session and response cache before one handler that says which user the session has. */
export function stackOf({ redis, form, order = ['limit', 'session', 'cache'], ...options }: StackOptions): Stack {
  const limit = rateLimit({ redis, limit: 1000, window: '1h', name: randomUUID(), ...options.limit })
  const session = redisSession({ redis, secret: 'a secret of the tests', ...options.session })
  const cache = responseCache({ redis, ttl: '1h', namespace: randomUUID(), ...options.cache })
  const app = options.version === 4 ? (express4() as unknown as Express) : express()
  app.set('env', 'test')
  // Logging in is none of what is compared.
  app.post('/login/:user', session, (req: Request<{ user: string }>, res: Response) => {
    req.session.user = req.params.user
    res.json({ user: req.params.user })
  })
  const parts = { limit, session, cache }
  mount(app, form, ...order.map((name) => parts[name] as RequestHandler), ...(options.others ?? []))
  let runs = 0
  app.use((req, res) => {
    runs++
    const { say } = req.query
    if (typeof say === 'string') res.set('Cache-Control', say)
    if (req.query.vary !== undefined) res.set('Vary', 'X-Variant')
    if (req.method === 'POST' && req.session !== undefined) req.session.visits = (req.session.visits ?? 0) + 1
    if (req.query.status !== undefined) res.status(Number(req.query.status))
    res.json({
      user: req.session?.user ?? null,
      state: req.sessions?.state ?? null,
      variant: req.query.vary === undefined ? null : (req.headers['x-variant'] ?? null),
      path: req.path,
    })
  })
  return { app, limit, session, cache, runs: () => runs }
}
