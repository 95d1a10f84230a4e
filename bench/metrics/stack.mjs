import express from 'express'
import { createRedisManager, rateLimit, responseCache } from 'holdfast'
import { createMetrics } from 'holdfast/ops'
import { redisSession } from 'holdfast/session'
import { payload } from '../variants/payload.mjs'

export const login = '/login'

/** Session, limiter and a cache hit, with metrics that can be switched while it runs: one process is its own baseline. */
export async function create(url) {
  const redis = createRedisManager({ url, commandTimeout: '2s' })
  await redis.ready()
  let metrics
  const app = express()
  app.get('/metrics/:mode', async (req, res) => {
    await metrics?.close()
    const { mode } = req.params
    metrics = mode === 'off' ? undefined : createMetrics({ redis, fleet: mode === 'fleet' })
    res.json({ mode })
  })
  app.use(redisSession({ redis, secret: 'a secret for the benchmark' }))
  app.get('/login', (req, res) => {
    req.session.user = 'ada'
    res.json({ ok: true })
  })
  app.use(rateLimit({ redis, limit: 100_000_000, window: '1m' }))
  return app.get('/', responseCache({ redis, ttl: '1h' }), (_req, res) => void res.json(payload))
}
