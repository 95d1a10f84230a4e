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
  /** For `createServer`: what may answer before Express does. */
  readonly front: readonly object[]
  close(): void
}

/** One application in all three modes: before Express, composed, one by one. */
export function createShop(redis: RedisManager): Shop {
  const limit = rateLimit({ redis, limit: 100, window: '1m', name: 'shop', user: false })
  const session = redisSession({ redis, secret: process.env.SESSION_SECRET ?? 'only for this example' })
  const catalogue = responseCache({ redis, ttl: '60s', tags: ['products'], local: true })
  const offers = responseCache({ redis, ttl: '60s', tags: ['products'], key: (req) => req.session?.name ?? 'guest' })
  const products = responseCache({ redis, ttl: '60s', tags: ['products'] })

  const app = express()

  // Public, and above the limiter: a local hit is answered before Express sees the request.
  app.get('/catalogue', catalogue, (_req, res) => {
    res.json({ pages: ['/products', '/offers'] })
  })

  // One round trip. Who is refused costs no session; a cached answer counts against the limit.
  app.get('/products', compose(limit, session, products), (_req, res) => {
    res.set('Cache-Control', 'public').json([{ id: 1, name: 'Anchor' }])
  })

  // Two: this cache's key waits for the session.
  app.get('/offers', compose(limit, session, offers), (req, res) => {
    res.json({ for: req.session?.name ?? 'guest', offers: ['Rope'] })
  })

  // One by one, as in any application.
  app.use(limit)
  app.use(session)
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

  return { app, front: [limit, catalogue], close: () => session.close() }
}
