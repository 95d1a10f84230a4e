import { ServerResponse } from 'node:http'
import { rateLimit as expressRateLimit } from 'express-rate-limit'
import { createRedisManager, rateLimit } from 'holdfast'
import { Redis } from 'ioredis'
import { RedisStore } from 'rate-limit-redis'
import { RateLimiterRedis } from 'rate-limiter-flexible'
import { startRedis } from '../http/servers.mjs'
import { flexible } from '../variants/flexible.mjs'

/**
 * CPU time of this process per request for the middleware alone, Redis being real and HTTP being left out: 64 requests
 * in flight, the middlewares in turn, the least of many rounds. Other load on the machine adds rounds, not bias.
 */
const REQUESTS = 10_000
const IN_FLIGHT = 64
const ROUNDS = 9
const MUCH = 100_000_000

const { url } = await startRedis()
const redis = createRedisManager({ url, logger: false, commandTimeout: '5s' })
await redis.ready()
const client = new Redis(url)
const theirs = (prefix, limit, windowMs) =>
  expressRateLimit({
    windowMs,
    limit,
    standardHeaders: 'draft-8',
    legacyHeaders: true,
    validate: false,
    store: new RedisStore({ sendCommand: (...args) => client.call(...args), prefix }),
  })
const blocking = { points: 1, duration: 3600, inMemoryBlockOnConsumed: 2, inMemoryBlockDuration: 3600 }
const policies = [
  { name: 'burst', limit: MUCH, window: '1s' },
  { name: 'sustained', limit: MUCH, window: '1m' },
]

const middlewares = {
  'allowed: holdfast': [rateLimit({ redis, limit: MUCH, window: '1m', name: 'one' })],
  'allowed: rate-limiter-flexible': [
    flexible(new RateLimiterRedis({ storeClient: client, points: MUCH, duration: 60 })),
  ],
  'allowed: express-rate-limit + rate-limit-redis': [theirs('one:', MUCH, 60_000)],
  'two policies: holdfast': [rateLimit({ redis, policies, name: 'two' })],
  'two policies: two express-rate-limits': [theirs('burst:', MUCH, 1000), theirs('sustained:', MUCH, 60_000)],
  'blocked: holdfast': [rateLimit({ redis, limit: 1, window: '1h', name: 'blocked' })],
  'blocked: rate-limiter-flexible in memory': [
    flexible(new RateLimiterRedis({ storeClient: client, keyPrefix: 'b', ...blocking })),
  ],
  'blocked: express-rate-limit + rate-limit-redis': [theirs('blocked:', 1, 3_600_000)],
}

const least = new Map()
for (let round = 0; round < ROUNDS; round++) {
  for (const [name, chain] of Object.entries(middlewares)) {
    const before = process.cpuUsage()
    await send(chain)
    const { user, system } = process.cpuUsage(before)
    const cost = (user + system) / REQUESTS
    if (round > 1) least.set(name, Math.min(cost, least.get(name) ?? cost))
  }
}
console.log(
  `\nNode ${process.version}, ${new Date().toISOString().slice(0, 10)}\n\n| middleware | CPU µs/request |\n|---|---|`,
)
for (const [name, cost] of least) console.log(`| ${name} | ${cost.toFixed(1)} |`)
process.exit(0)

async function send(chain) {
  let left = REQUESTS
  const worker = (done) => {
    const step = () => {
      if (left-- <= 0) return done()
      const req = { ip: '192.0.2.1', headers: {}, method: 'GET', path: '/', baseUrl: '', app: { get: () => false } }
      const res = response(req, () => setImmediate(step))
      const walk = (index) => (error) => {
        if (error) throw error
        const next = chain[index]
        if (next === undefined) return setImmediate(step)
        next(req, res, walk(index + 1))
      }
      walk(0)()
    }
    step()
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, () => new Promise(worker)))
}

/** Node's own response with the few methods of Express that the peers call, at their cheapest. */
function response(req, ended) {
  const res = new ServerResponse(req)
  const { end } = res
  return Object.assign(res, {
    append: res.appendHeader,
    status(code) {
      res.statusCode = code
      return res
    },
    send(text) {
      res.setHeader('Content-Type', 'text/plain; charset=utf-8')
      res.setHeader('Content-Length', Buffer.byteLength(text))
      res.end(text)
      return res
    },
    end(...args) {
      end.apply(res, args)
      ended()
      return res
    },
  })
}
