import express, { type Express } from 'express'
import { health, type RedisManager, rateLimit, responseCache, securityLog } from 'holdfast'
import { redisSession } from 'holdfast/session'

/** The README's first example, with a route that changes what is cached. */
export function createApp(redis: RedisManager, secret: string): Express {
  const products = responseCache({ redis, ttl: '60s', tags: ['products'] })
  const list = [{ id: 1, name: 'Anchor' }]

  const app = express()
  app.use(securityLog({ redis }))
  app.use(rateLimit({ redis, limit: 100, window: '1m' }))
  app.use(redisSession({ redis, secret }))
  app.get('/products', products, (_req, res) => {
    res.json(list)
  })
  app.post('/products', express.json(), async (req, res) => {
    list.push({ id: list.length + 1, name: String(req.body?.name) })
    await products.invalidateTags('products')
    res.sendStatus(201)
  })
  app.use('/health', health({ redis }))
  return app
}
