import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { expect, it } from '@jest/globals'
import express from 'express'
import request from 'supertest'
import { type SecurityMiddleware, securityLog } from '../../src/security/index.js'
import type { RedisServer } from '../support/redis-server.js'
import { useRedis } from '../support/use-redis.js'
import { allSecrets } from './secrets.js'
import { collect } from './support.js'

let server: RedisServer
let security: SecurityMiddleware
let hook: Server
const sink = collect()
const hooked: string[] = []
const warnings: string[] = []

const note = (line: string): void => void warnings.push(line)

useRedis(
  async (own) => {
    server = own.server
    hook = createServer(async (req, res) => {
      hooked.push(await text(req))
      res.end()
    })
    await new Promise<void>((resolve) => hook.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(hook.address() as AddressInfo).port}/`
    security = securityLog({
      redis: own.redis,
      sink,
      secret: 'a secret for tests only',
      honeypots: ['/trap'],
      enforce: ['honeypot', 'bruteForcePair'],
      integrity: { keys: [{ id: 'k1', key: 'a signing key for tests only, 32 characters' }] },
      webhook: { url, secret: 'a webhook secret for tests' },
    })
  },
  {
    manager: { logger: { info: note, warn: note, error: note } },
    close: async () => {
      await security.close()
      await new Promise((resolve) => hook.close(resolve))
    },
  },
)

/** Every name and value in Redis. */
async function everythingInRedis(): Promise<string> {
  const client = server.client()
  const parts: unknown[] = []
  for (const key of await client.keys('*')) {
    const type = await client.type(key)
    parts.push(key)
    if (type === 'stream') parts.push(await client.xrange(key, '-', '+'))
    else if (type === 'hash') parts.push(await client.hgetall(key))
    else if (type === 'zset') parts.push(await client.zrange(key, '0', '-1'))
    else parts.push(await client.get(key))
  }
  return JSON.stringify(parts)
}

it('lets none of hundreds of secrets into any sink: local, Redis, exports, alerts, warnings', async () => {
  const secrets = allSecrets()
  for (const { details } of secrets) security.record('authz_fail', details)
  await security.flush()
  const sinks = {
    local: sink.lines.join('\n'),
    redis: await everythingInRedis(),
    ndjson: await text(Readable.from(security.export())),
    csv: await text(Readable.from(security.export({ format: 'csv' }))),
    alerts: hooked.join('\n'),
    warnings: warnings.join('\n'),
  }
  expect(sink.events.length).toBeGreaterThanOrEqual(secrets.length)
  const leaks = Object.entries(sinks).flatMap(([name, content]) =>
    secrets.filter(({ leak }) => content.includes(leak)).map(({ leak }) => `${name}: ${leak}`),
  )
  expect(leaks).toEqual([])
})

it('lets nothing that a request carries into any sink, unless it is named', async () => {
  const app = express()
  app.set('trust proxy', 'loopback')
  app.use(security, express.json())
  app.post(
    '/login',
    security.login({ account: (req) => req.body.email, credential: (req) => req.body.password }),
    (_req, res) => {
      res.status(401).json({})
    },
  )
  const secret = (n: number): string => `Carried${n}Secret${n}Value`
  for (let n = 0; n < 12; n++) {
    await request(app)
      .post(`/login?token=${secret(1)}&next=${secret(2)}`)
      .set('X-Forwarded-For', '203.0.113.1')
      .set('Authorization', `Bearer ${secret(3)}`)
      .set('Cookie', `session=${secret(4)}; theme=${secret(5)}`)
      .set('X-Api-Key', secret(6))
      .set('Referer', `https://example.test/?code=${secret(7)}`)
      .send({ email: `${secret(8)}@example.test`, password: `${secret(9)}-${n}`, other: secret(10) })
  }
  await request(app)
    .get(`/trap?key=${secret(11)}`)
    .set('X-Forwarded-For', '203.0.113.2')
  await security.flush()
  const everything = [sink.lines.join('\n'), await everythingInRedis(), hooked.join('\n'), warnings.join('\n')].join(
    '\n',
  )
  expect(everything).toContain('bruteForcePair')
  expect(everything).toContain('honeypot')
  expect(everything.match(/Carried\d+Secret/g)).toBeNull()
})
