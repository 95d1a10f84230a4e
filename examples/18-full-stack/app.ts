import express, { type Express } from 'express'
import { type RedisManager, rateLimit, responseCache } from 'holdfast'
import { compose } from 'holdfast/compose'
import { redisSession } from 'holdfast/session'

declare module 'express-session' {
  interface SessionData {
    name: string
  }
}

export interface Shop {
  readonly app: Express
  close(): void
}

/** Limiter, session and response cache in one round trip to Redis. */
export function createShop(redis: RedisManager): Shop {
  const limit = rateLimit({ redis, limit: 100, window: '1m', name: 'shop' })
  const session = redisSession({ redis, secret: process.env.SESSION_SECRET ?? 'only for this example' })
  const products = responseCache({ redis, ttl: '60s', tags: ['products'] })

  const app = express()

  // A visitor who is refused costs no session; a cached answer counts against the limit.
  app.get('/products', compose(limit, session, products), (_req, res) => {
    res.set('Cache-Control', 'public').json([{ id: 1, name: 'Anchor' }])
  })

  app.use(compose(limit, session))
  app.post('/login/:name', (req, res) => {
    req.session.name = req.params.name
    res.json({ name: req.session.name })
  })
  app.get('/me', (req, res) => {
    res.json({ name: req.session?.name ?? null, remaining: req.rateLimit?.remaining })
  })
  app.post('/products', async (_req, res) => {
    await products.invalidateTags('products')
    res.sendStatus(201)
  })

  return { app, close: () => session.close() }
}
