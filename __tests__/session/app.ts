import { afterAll, beforeAll } from '@jest/globals'
import express, { type Express, type Request } from 'express'
import request from 'supertest'
import { createRedisManager, type RedisManager } from '../../src/redis/index.js'
import { type RedisSessionOptions, redisSession } from '../../src/session/index.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'

export const SECRET = 'a secret of the tests'

declare module 'express-session' {
  interface SessionData {
    user: string
    visits: number
    [key: `k${number}`]: unknown
  }
}

export type AppOptions = Partial<RedisSessionOptions> & { redis: RedisManager; framework?: typeof express }

/** A small application with a log-in, written as for plain express-session. */
export function createApp({ framework = express, ...options }: AppOptions): Express {
  const app = framework()
  app.use(redisSession({ secret: SECRET, ...options }))
  app.get('/', (req, res) => void res.json({ user: req.session?.user ?? null, state: req.sessions.state }))
  app.post('/login/:user', (req, res, next) => {
    req.session.regenerate((error) => {
      if (error) return next(error)
      req.session.user = req.params.user
      res.json({ user: req.session.user })
    })
  })
  app.post('/set/:key/:value', (req: Request<{ key: string; value: string }>, res) => {
    if (req.session) Object.assign(req.session, { [req.params.key]: req.params.value })
    res.json({ kept: req.session !== undefined })
  })
  app.get('/all', (req, res) => void res.json(req.session ?? null))
  app.post('/logout', (req, res, next) => {
    req.session.destroy((error) => (error ? next(error) : res.json({ user: null })))
  })
  return app
}

export async function login(app: Express, user = 'ann'): Promise<string> {
  const response = await request(app).post(`/login/${user}`).expect(200)
  return cookieOf(response)
}

export function cookieOf(response: { headers: Record<string, unknown> }): string {
  const cookies = response.headers['set-cookie'] as string[] | undefined
  const cookie = cookies?.[0]?.split(';')[0]
  if (cookie === undefined) throw new Error('the response sets no cookie')
  return cookie
}

export function idOf(cookie: string): string {
  return decodeURIComponent(cookie.slice(cookie.indexOf('=') + 1))
    .replace(/^s:/, '')
    .replace(/\.[^.]*$/, '')
}

/** One server and one manager for a file's tests. */
export function useRedis(): { readonly server: RedisServer; readonly redis: RedisManager } {
  const world: { server?: RedisServer; redis?: RedisManager } = {}
  beforeAll(async () => {
    world.server = await startRedis()
    world.redis = createRedisManager({ url: world.server.url, logger: false, commandTimeout: 1000 })
    await world.redis.ready()
  })
  afterAll(async () => {
    await world.redis?.close()
    await world.server?.stop()
  })
  return world as never
}
