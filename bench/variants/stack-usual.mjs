import apicache from 'apicache'
import { RedisStore as SessionStore } from 'connect-redis'
import { rateLimit } from 'express-rate-limit'
import session from 'express-session'
import { Redis } from 'ioredis'
import { RedisStore as LimitStore } from 'rate-limit-redis'
import { stackApp } from './stack-app.mjs'

export const login = '/login'

/** The usual packages as their pages say, on one ioredis connection. */
export function create(url) {
  const client = new Redis(url)
  // apicache asks for a property of node-redis 2, and keeps everything in memory where it is missing.
  client.connected = true
  const sessions = session({
    store: new SessionStore({ client }),
    ...{ secret: 'a secret for the benchmark', resave: false, saveUninitialized: false },
  })
  const limit = rateLimit({
    ...{ windowMs: 60_000, limit: 100_000_000, standardHeaders: 'draft-8', legacyHeaders: true },
    store: new LimitStore({ sendCommand: (...args) => client.call(...args) }),
  })
  const cache = apicache.newInstance({ redisClient: client, defaultDuration: '1 hour' }).middleware()
  return stackApp(sessions, [sessions, limit, cache])
}
