import express, { type Express } from 'express'
import { concurrency, presets, type RateLimitPolicy, type RedisManager, rateLimit } from 'holdfast'

type Plan = 'free' | 'pro'

const PLANS: Readonly<Record<Plan, readonly RateLimitPolicy[]>> = {
  free: [{ name: 'free', limit: 5, window: '1m' }],
  pro: [
    { name: 'pro-burst', limit: 10, window: '1s' },
    { name: 'pro', limit: 100, window: '1m' },
  ],
}

/** Who calls, by API key. A real application looks it up and verifies it; what a client merely claims is worth nothing. */
const CUSTOMERS: ReadonlyMap<string, { readonly id: string; readonly plan: Plan }> = new Map([
  ['key-of-ada', { id: 'ada', plan: 'free' }],
  ['key-of-bob', { id: 'bob', plan: 'pro' }],
])

/** An API with a limit for everybody, limits by plan, guarded log-ins and a slow report. */
export function createApp(redis: RedisManager): Express {
  const app = express()
  const customerOf = (req: express.Request) => CUSTOMERS.get(req.get('x-api-key') ?? '')

  const everybody = rateLimit({ redis, name: 'everybody', limit: 1000, window: '1m' })
  const byPlan = rateLimit({
    redis,
    name: 'plans',
    user: (req) => customerOf(req)?.id,
    policies: (req) => PLANS[customerOf(req)?.plan ?? 'free'],
    cost: (req) => (req.method === 'GET' ? 1 : 5),
  })
  const logins = presets.auth({ redis, account: (req) => req.body?.email })
  const oneAtATime = concurrency({ redis, name: 'reports', limit: 1 })

  app.use(everybody)
  app.use('/api', byPlan)
  app.all('/api/orders', (req, res) => void res.json({ orders: [], remaining: req.rateLimit?.remaining }))
  app.post('/login', express.json(), logins, (req, res) => {
    res.sendStatus(req.body.password === 'correct horse' ? 204 : 401)
  })
  app.get('/report', oneAtATime, (_req, res) => {
    setTimeout(() => res.json({ pages: 12 }), 300)
  })
  app.delete('/limits/:customer', async (req, res) => {
    // For the operator: keep a route like this behind your administration's log-in.
    await byPlan.reset({ user: req.params.customer })
    res.sendStatus(204)
  })
  return app
}
