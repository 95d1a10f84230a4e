import express from 'express'
import { createRedisManager, rateLimit, responseCache } from 'holdfast'
import { createMetrics } from 'holdfast/ops'
import { redisSession } from 'holdfast/session'
import { payload } from '../variants/payload.mjs'

export const login = '/off/login'

/** The same stack several times in one process, each with a manager of its own; `twin` is another one without metrics. */
export async function create(url) {
  const app = express()
  for (const mode of ['off', 'on', 'fleet', 'twin']) app.use(`/${mode}`, await stack(url, mode))
  return app
}

/** Session, limiter and a cache hit. */
async function stack(url, mode) {
  const redis = createRedisManager({ url, commandTimeout: '2s', logger: false })
  await redis.ready()
  if (mode === 'on' || mode === 'fleet') createMetrics({ redis, fleet: mode === 'fleet' })
  const app = express()
  app.use(redisSession({ redis, secret: 'a secret for the benchmark' }))
  app.get('/login', (req, res) => {
    req.session.user = 'ada'
    res.json({ ok: true })
  })
  app.use(rateLimit({ redis, name: mode, limit: 100_000_000, window: '1m' }))
  return app.get('/', responseCache({ redis, ttl: '1h' }), (_req, res) => void res.json(payload))
}
