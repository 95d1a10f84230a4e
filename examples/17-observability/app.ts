import express, { type Express } from 'express'
import { health, type RedisManager, rateLimit, responseCache } from 'holdfast'
import { createMetrics, createMonitor, createUpkeep, type MonitorAlert, prometheus } from 'holdfast/ops'

/** A small shop that says how it is doing: to load balancers, to Prometheus, and to whoever is on call. */
export function createApp(redis: RedisManager, page: (alert: MonitorAlert) => void = log): ObservedApp {
  const metrics = createMetrics({ redis, fleet: true })
  const monitor = createMonitor({ redis, every: '5s', scope: 'fleet', onAlert: page, onRecovery: page })
  const carts = new Map<string, number>()
  const upkeep = createUpkeep({
    redis,
    tasks: {
      carts: {
        every: '1m',
        scope: 'process',
        run: () => {
          const before = carts.size
          for (const [id, until] of carts) if (until < Date.now()) carts.delete(id)
          return { done: before - carts.size }
        },
      },
    },
  })
  const checks = health({
    redis,
    version: '1.4.0',
    checks: { carts: () => ({ observedValue: carts.size, observedUnit: 'carts' }) },
    // Only this machine sees errors and versions. Behind a proxy, ask for a token instead.
    details: (req) => THIS_MACHINE.includes(req.socket.remoteAddress ?? ''),
  })

  const app = express()
  app.disable('x-powered-by')
  app.use('/health', checks)
  app.get('/metrics', prometheus({ metrics }))
  app.use(rateLimit({ redis, name: 'api', limit: 100, window: '1m', onUnavailable: 'memory' }))
  app.get('/products', responseCache({ redis, ttl: '1m' }), (_req, res) => {
    res.json([{ id: 1, name: 'Anchor' }])
  })
  app.post('/carts/:id', async (req, res) => {
    await metrics.measure('carts.save', async () => carts.set(req.params.id, Date.now() + 60_000))
    res.sendStatus(204)
  })
  app.get('/fleet', async (_req, res) => {
    await metrics.flush()
    res.json(await metrics.fleet('10m'))
  })

  return {
    app,
    drain: () => checks.drain(),
    async close() {
      await Promise.all([monitor.close(), upkeep.close(), metrics.close()])
    },
  }
}

export interface ObservedApp {
  readonly app: Express
  /** From now on load balancers are told to send nobody. */
  drain(): void
  close(): Promise<void>
}

const THIS_MACHINE = ['127.0.0.1', '::1', '::ffff:127.0.0.1']

function log({ condition, message, clearedAt }: MonitorAlert): void {
  console.log(clearedAt === undefined ? `ALERT ${condition}: ${message}` : `OK ${condition}`)
}
