import { createChannel, createSession } from 'better-sse'
import express from 'express'
import { createNotifier, createRedisManager } from 'holdfast'
import { Redis } from 'ioredis'

const [name, url] = process.argv.slice(2)

/** Each mounts `/events?user=…` and returns how a topic and a user are told. All go through Redis. */
const kinds = {
  /** The least that can be done: a subscriber, and a line for everybody who listens. Nothing is kept. */
  'plain ioredis': async (app) => {
    const publisher = new Redis(url)
    const subscriber = new Redis(url)
    const streams = new Map()
    subscriber.on('message', (channel, text) => {
      for (const res of streams.get(channel) ?? []) res.write(`event: price\ndata: ${text}\n\n`)
    })
    app.get('/events', (req, res) => {
      res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache, no-transform' })
      res.flushHeaders()
      for (const channel of ['news', `user:${req.query.user}`]) {
        const all = streams.get(channel) ?? new Set()
        streams.set(channel, all.add(res))
        if (all.size === 1) void subscriber.subscribe(channel)
      }
    })
    return {
      topic: (data) => publisher.publish('news', JSON.stringify(data)),
      user: (user, data) => publisher.publish(`user:${user}`, JSON.stringify(data)),
    }
  },
  /** better-sse's channels, told by a plain subscriber. Nothing is kept. */
  'better-sse': async (app) => {
    const publisher = new Redis(url)
    const subscriber = new Redis(url)
    const channels = new Map()
    subscriber.on('message', (channel, text) => channels.get(channel)?.broadcast(JSON.parse(text), 'price'))
    app.get('/events', async (req, res) => {
      const session = await createSession(req, res)
      for (const name of ['news', `user:${req.query.user}`]) {
        const channel = channels.get(name) ?? createChannel()
        if (!channels.has(name)) void subscriber.subscribe(name)
        channels.set(name, channel)
        channel.register(session)
      }
    })
    return {
      topic: (data) => publisher.publish('news', JSON.stringify(data)),
      user: (user, data) => publisher.publish(`user:${user}`, JSON.stringify(data)),
    }
  },
  /** Kept in Redis with ids, replayed to who comes back, slow clients bounded, unread counted. */
  holdfast: async (app) => {
    const redis = createRedisManager({ url, logger: false, commandTimeout: '5s' })
    await redis.ready('10s')
    const notifier = createNotifier({ redis, history: 100 })
    app.get('/events', notifier.stream({ user: (req) => req.query.user, topics: () => ['news'] }))
    return {
      topic: (data) => notifier.broadcast('news', { type: 'price', data }),
      user: (user, data) => notifier.notify(user, { type: 'price', data }),
    }
  },
}

const app = express().disable('x-powered-by')
const tell = await kinds[name](app)
const server = app.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }))

process.on('message', async ({ what, count, users, inFlight }) => {
  if (what === 'cpu') return process.send({ cpu: process.cpuUsage() })
  let next = 0
  await Promise.all(
    Array.from({ length: inFlight }, async () => {
      for (let at = next++; at < count; at = next++) {
        const data = { sku: 'anchor', cents: 12_000 + at, currency: 'EUR' }
        await (what === 'topic' ? tell.topic(data) : tell.user(`u${at % users}`, data))
      }
    }),
  )
  process.send({ told: count })
})
