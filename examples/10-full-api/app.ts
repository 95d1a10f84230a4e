import express, { type Express, type RequestHandler } from 'express'
import { health, type RedisManager, rateLimit, responseCache, securityLog } from 'holdfast'
import { createCatalogue } from './catalogue.js'
import { logIn, logOut, requireUser } from './login.js'

export interface AppOptions {
  readonly redis: RedisManager
  readonly sessions: RequestHandler
  /** Where security events are written besides Redis. @default console */
  readonly sink?: 'console' | (() => void)
}

/** A product catalogue: cached lists, limits, sessions, an audit log, health. */
export function createApp({ redis, sessions, sink = 'console' }: AppOptions): Express {
  const catalogue = createCatalogue()
  const security = securityLog({ redis, app: 'catalogue', sink })
  const products = responseCache({ redis, ttl: '60s', tags: ['products'] })
  const everyone = rateLimit({ redis, name: 'api', limit: 100, window: '1m', onUnavailable: 'memory' })
  const attempts = rateLimit({ redis, name: 'login', limit: 5, window: '15m', onUnavailable: 'memory' })

  const app = express()
  app.disable('x-powered-by')
  app.use('/health', health({ redis }))
  app.use(security)
  app.use(everyone)

  // Public lists need no session: before it, a hit costs neither a session read nor a cookie.
  app.get('/products', products, async (req, res) => {
    const { category } = req.query
    res.json(await catalogue.list(typeof category === 'string' ? category : undefined))
  })
  app.get('/products/:id', products, async (req, res) => {
    const product = await catalogue.find(Number(req.params.id))
    if (product === undefined) return void res.status(404).json({ error: 'no such product' })
    res.json(product)
  })

  app.use(sessions, express.json({ limit: '10kb' }))
  app.post('/login', attempts, logIn)
  app.post('/logout', logOut)
  app.get('/me', requireUser, (req, res) => {
    res.json({ user: req.session.account })
  })
  app.post('/products', requireUser, async (req, res) => {
    const { name, category, price } = (req.body ?? {}) as Record<string, unknown>
    if (typeof name !== 'string' || typeof category !== 'string' || typeof price !== 'number') {
      return void res.status(400).json({ error: 'name, category and price are needed' })
    }
    const product = await catalogue.add({ name, category, price })
    // An outage must not turn the write into an error: the entries expire after their ttl.
    await products.invalidateTags('products').catch(() => {})
    req.security.record('sensitive_create', { target: `product:${product.id}`, audit: true })
    res.status(201).json(product)
  })
  app.get('/audit', requireUser, async (_req, res) => {
    const { events } = await security.query({ limit: 20 })
    res.json(events)
  })
  return app
}
