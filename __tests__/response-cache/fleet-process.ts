import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import express, { type RequestHandler } from 'express'
import { createRedisManager, responseCache } from '../../src/index.js'

/*
 * A process of its own behind a load balancer: listens, says its port, and counts in Redis, where it can, how often its
 * handlers ran. Arguments are the URL of Redis, how long a handler takes, the deadline of a command,
 * and how long requests wait for another.
 */
const [url = '', takes = '200', deadline = '75', coalesce = '20000'] = process.argv.slice(2)
const redis = createRedisManager({ url, logger: false, commandTimeout: Number(deadline) })
await redis.ready('20s')

const app = express()
app.use(responseCache({ redis, ttl: '30s', coalesce: Number(coalesce), tags: ['all'] }) as RequestHandler)
app.get('/count/:name', async (req, res) => {
  await redis.execute('count', (client) => client.incr(`runs:${req.params.name}`), { deadline: 10_000 })
  await sleep(Number(takes))
  res.json({ name: req.params.name })
})
app.get('/plain/:name', async (req, res) => {
  await sleep(Number(takes))
  res.json({ name: req.params.name })
})

const server = app.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port))
process.on('disconnect', () => process.exit())
