import { setTimeout as sleep } from 'node:timers/promises'
import express from 'express'
import { createRedisManager } from '../../src/redis/index.js'
import { redisSession } from '../../src/session/index.js'

/** One of the two processes of the race suite; prints its port. */
const redis = createRedisManager({ url: process.argv[2] as string, logger: false, commandTimeout: 10_000 })
await redis.ready(10_000)
const session = redisSession({ redis, secret: 'race', touchAfter: 0 })
const app = express()
app.use(session)
app.post('/login/:user', async (req, res) => {
  await req.sessions.login(req.params.user)
  res.json(req.sessions.userId)
})
app.post('/set/:key', async (req, res) => {
  Object.assign(req.session, { [req.params.key]: true })
  await sleep(Math.random() * 5)
  res.json(req.sessions.userId ?? null)
})
app.post('/rotate', async (req, res) => {
  await req.sessions.rotate()
  res.json(true)
})
app.post('/logout', async (req, res) => {
  await req.sessions.logout()
  res.json(true)
})
app.post('/revoke-all/:user', async (req, res) => void res.json(await session.sessions.revokeAll(req.params.user)))
app.get('/', (req, res) => void res.json({ user: req.sessions.userId ?? null, data: req.session }))
const server = app.listen(0, '127.0.0.1', () => {
  console.log((server.address() as { port: number }).port)
})
process.on('disconnect', () => process.exit())
