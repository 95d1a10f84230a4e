import express, { type Request, type Response } from 'express'
import { createRedisManager, health, rateLimit, responseCache, securityLog } from 'holdfast'
import { redisSession } from 'holdfast/session'

const redis = createRedisManager({ url: 'redis://127.0.0.1:1', keyPrefix: 'shop' })
const security = securityLog({ redis })
const products = responseCache({ redis, ttl: '60s', tags: ['products'] })

const app = express()
app.use(security)
app.use(rateLimit({ redis, limit: 100, window: '1m' }))
app.use(redisSession({ redis, secret: 'a secret that is long enough to sign with' }))
app.get('/products', products, (_req: Request, res: Response) => {
  res.json([])
})
app.post('/products', async (_req: Request, res: Response) => {
  await products.invalidateTags('products')
  res.sendStatus(201)
})
app.use('/health', health({ redis }))

export const closed: Promise<void> = redis.close()
