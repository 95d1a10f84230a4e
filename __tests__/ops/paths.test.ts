import { once } from 'node:events'
import { createServer as createHttpServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, expect, it } from '@jest/globals'
import express, { type Request, type RequestHandler, type Response } from 'express'
import { compose } from '../../src/compose/index.js'
import { createMetrics, type Metrics } from '../../src/ops/index.js'
import { rateLimit } from '../../src/rate-limit/index.js'
import type { RedisManager } from '../../src/redis/index.js'
import { responseCache } from '../../src/response-cache/index.js'
import { createServer } from '../../src/server/index.js'
import { redisSession } from '../../src/session/index.js'
import { eventually } from '../support/eventually.js'
import { useRedis } from '../support/use-redis.js'

let redis: RedisManager
let metrics: Metrics
const open: Server[] = []

useRedis((own) => {
  redis = own.redis
})
beforeEach(() => {
  metrics = createMetrics({ redis })
})
afterEach(async () => {
  await metrics.close()
  for (const server of open.splice(0)) {
    server.closeAllConnections()
    server.close()
  }
})

async function listening(server: Server): Promise<string> {
  open.push(server)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function total(name: string, outcome: string): number {
  const samples = metrics.snapshot().counters[name] ?? []
  return samples.reduce((sum, { labels, value }) => sum + (labels.outcome === outcome ? value : 0), 0)
}

/** Log-in, two requests for one thing, one refusal: what metrics say of them. */
async function counted(name: string, mount: (...all: RequestHandler[]) => RequestHandler[]) {
  const limit = rateLimit({ redis, name, limit: 3, window: '1m' })
  const session = redisSession({ redis, secret: 'a secret for tests only' })
  const cache = responseCache({ redis, ttl: '1m', key: () => name })
  const app = express()
  app.get('/login', session, (req, res) => {
    Object.assign(req.session, { user: 'ada' })
    res.sendStatus(204)
  })
  app.get('/', ...mount(limit, session, cache), (_req: Request, res: Response) => void res.json({ name }))
  const url = await listening(createHttpServer(app))
  const cookie = (await fetch(`${url}/login`)).headers.get('set-cookie')?.split(';')[0] ?? ''
  const get = () => fetch(url, { headers: { cookie } }).then((response) => response.text())
  await get()
  await eventually(() => total('response_cache_requests', 'miss') === 1)
  await get()
  await get()
  await get()
  session.close()
  return {
    allowed: total('limit_decisions', 'allowed'),
    refused: total('limit_decisions', 'refused'),
    hits: total('response_cache_requests', 'hit'),
    misses: total('response_cache_requests', 'miss'),
    found: total('sessions_loaded', 'found'),
  }
}

it.each([
  ['mounted', (...all: RequestHandler[]) => all],
  ['composed', (...all: RequestHandler[]) => [(compose as (...all: RequestHandler[]) => RequestHandler)(...all)]],
])('every request counts once where limiter, session and cache are %s', async (name, mount) => {
  const { found, ...rest } = await counted(name, mount)
  expect(rest).toEqual({ allowed: 3, refused: 1, hits: 2, misses: 1 })
  // A session that is asked for ahead of a refusal was asked for.
  expect([3, 4]).toContain(found)
})

it('answers given before Express count as those given in it', async () => {
  const cache = responseCache({ redis, ttl: '1m', local: true })
  const app = express()
  app.get('/', cache, (_req, res) => void res.json({ ok: true }))
  const server = createServer(app, { front: [cache] })
  const url = await listening(server as Server)
  const hit = async (): Promise<boolean> => (await fetch(url)).headers.get('x-cache') === 'HIT'
  await eventually(hit)
  const before = total('response_cache_requests', 'hit')
  for (let i = 0; i < 20; i++) expect(await hit()).toBe(true)
  expect(total('response_cache_requests', 'hit')).toBe(before + 20)
})
