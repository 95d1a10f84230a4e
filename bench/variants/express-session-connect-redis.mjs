import { RedisStore } from 'connect-redis'
import session from 'express-session'
import { Redis } from 'ioredis'
import { sessionApp } from './session-app.mjs'

export const login = '/login'

export function create(url) {
  const store = new RedisStore({ client: new Redis(url) })
  return sessionApp(session({ store, secret: 'a secret for the benchmark', resave: false, saveUninitialized: false }))
}
