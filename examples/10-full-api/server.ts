import { randomBytes } from 'node:crypto'
import type { RequestHandler } from 'express'
import session from 'express-session'
import { createRedisManager } from 'holdfast'
import { redisSession } from 'holdfast/session'
import { createApp } from './app.js'
import { startEmbeddedRedis } from './embedded-redis.js'

const { REDIS_URL, SESSION_SECRET, PORT = '3000' } = process.env
const secret = SESSION_SECRET ?? randomBytes(32).toString('base64')
const embedded = REDIS_URL === undefined ? await startEmbeddedRedis() : undefined
const url = REDIS_URL ?? embedded?.url
const redis = createRedisManager({ url, keyPrefix: 'catalogue' })

// With no Redis at all sessions live in this process, as express-session keeps them by default.
const sessions: RequestHandler =
  url === undefined ? session({ secret, resave: false, saveUninitialized: false }) : redisSession({ redis, secret })

await redis.ready('1s')
const server = createApp({ redis, sessions }).listen(Number(PORT), () => {
  const where =
    REDIS_URL !== undefined
      ? 'REDIS_URL'
      : embedded !== undefined
        ? 'a private redis-server'
        : 'no Redis: everything in this process, nothing cached'
  const base = `http://localhost:${PORT}`
  console.log(`Catalogue on ${base}, on ${where} (Redis is ${redis.state}). Try:

  curl -i ${base}/products          # X-Cache: MISS, again: HIT
  curl -i -c jar -H 'Content-Type: application/json' -d '{"user":"ada","password":"holdfast"}' ${base}/login
  curl -s ${base}/health
`)
})

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    server.close(async () => {
      await redis.close()
      embedded?.stop()
      process.exit(0)
    })
    server.closeIdleConnections()
  })
}
