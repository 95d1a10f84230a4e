import express, { type Express, type Request } from 'express'
import { createUsage, isRedisUnavailable, type RedisManager, rateLimit, type Usage } from 'holdfast'

const PLANS: Readonly<Record<string, number>> = { free: 5, pro: 100_000 }

/** An API whose customers are counted, and slowed down, not refused, once their daily quota is used up. */
export function createApp(redis: RedisManager): Express & { usage: Usage } {
  const usage = createUsage({ redis, flushInterval: '1s' })
  const customer = (req: Request): string => req.get('x-api-key') ?? 'anonymous'
  const quota = usage.quota({
    user: customer,
    limit: (req) => PLANS[req.get('x-plan') ?? 'free'] ?? 0,
    per: 'day',
    freshFor: '1s',
  })
  const app = express()

  app.use(usage.middleware({ user: customer, cost: (req) => (req.path === '/search' ? 5 : 1) }))
  const slowLane = rateLimit({ redis, name: 'slow-lane', limit: 1, window: '10s', key: customer, skip: quota.within })

  app.get('/search', slowLane, (_req, res) => {
    res.json({ found: [] })
  })

  app.get('/admin/usage', async (req, res) => {
    const groupBy = req.query.by === 'user' ? 'user' : 'operation'
    res.json(await usage.report({ from: Date.now() - 86_400_000, groupBy }))
  })

  app.get('/admin/customers/:id', async (req, res) => {
    res.json(await usage.activity(req.params.id, 7))
  })

  app.delete('/admin/customers/:id', async (req, res) => {
    await usage.erase(req.params.id)
    res.sendStatus(204)
  })

  app.use(((error, _req, res, next) => {
    if (isRedisUnavailable(error)) res.status(503).json({ error: 'no reports at the moment' })
    else next(error)
  }) as express.ErrorRequestHandler)
  return Object.assign(app, { usage })
}
