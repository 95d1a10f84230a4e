import { describe, expect, it } from '@jest/globals'
import express, { type Express } from 'express'
import express4 from 'express4'
import request from 'supertest'
import type { RedisManager } from '../../src/redis/index.js'
import { type SecurityMiddlewareOptions, securityLog } from '../../src/security/index.js'
import type { RedisServer } from '../support/redis-server.js'
import { useRedis } from '../support/use-redis.js'
import { collect, rawStream } from './support.js'

let server: RedisServer
let redis: RedisManager

useRedis((own) => {
  server = own.server
  redis = own.redis
})

function world(options: Partial<SecurityMiddlewareOptions> = {}, make: () => Express = express) {
  const sink = collect()
  const security = securityLog({ redis, sink, ...options })
  const app = make().use(security as never)
  const end = (status: number) => (_req: unknown, res: express.Response) => void res.sendStatus(status)
  for (const status of [200, 204, 302, 304, 400, 401, 403, 404, 422, 429, 500])
    app.get(`/status/${status}`, end(status))
  return { app, sink, security }
}

describe.each([
  ['Express 5', express],
  ['Express 4', express4 as unknown as () => Express],
])('securityLog on %s', (_name, make) => {
  it.each<[number, string, string]>([
    [400, 'input_validation_fail', 'warn'],
    [401, 'authz_fail', 'info'],
    [403, 'authz_fail', 'critical'],
    [422, 'input_validation_fail', 'warn'],
    [429, 'excess_rate_limit_exceeded', 'warn'],
  ])('records an answer of %d as %s', async (status, event, level) => {
    const { app, sink, security } = world({}, make)
    await request(app)
      .get(`/status/${status}?token=hidden`)
      .set('User-Agent', 'curl/8')
      .set('X-Request-Id', 'r-1')
      .expect(status)
    expect(sink.events).toHaveLength(1)
    expect(sink.events[0]).toMatchObject({
      event,
      level,
      status,
      method: 'GET',
      path: `/status/${status}`,
      requestId: 'r-1',
    })
    expect(sink.events[0]).toMatchObject({ ip: '127.0.0.1', userAgent: 'curl/8' })
    expect(sink.lines[0]).not.toContain('hidden')
    await security.close()
  })

  it.each([200, 204, 302, 304, 404, 500])('takes an answer of %d for nothing of its business', async (status) => {
    const { app, sink, security } = world({}, make)
    await request(app).get(`/status/${status}`).expect(status)
    expect(sink.events).toEqual([])
    await security.close()
  })

  it('fills in who, from where and what for when a handler records', async () => {
    const { app, sink, security } = world({}, make)
    app.use((req, _res, next) => {
      Object.assign(req, { user: { id: 'u1' }, session: {}, sessionID: 'secret-session' })
      next()
    })
    app.delete('/orders/:id', (req, res) => {
      req.security.record('sensitive_delete', { target: req.params.id, audit: true })
      res.sendStatus(204)
    })
    await request(app).delete('/orders/42?x=1').expect(204)
    const [event] = sink.events
    expect(event).toMatchObject({
      event: 'sensitive_delete',
      userId: 'u1',
      path: '/orders/:id',
      method: 'DELETE',
      target: '42',
    })
    expect(event?.session).toMatch(/^~/)
    expect(sink.lines.join()).not.toContain('secret-session')
    await security.close()
  })

  it('names the route of a router that is mounted on a path with parameters, not who is in that path', async () => {
    const { app, sink, security } = world({}, make)
    const router = express.Router()
    router.get('/orders/:order', (req, res) => {
      req.security.record('sensitive_read')
      res.sendStatus(204)
    })
    app.use('/users/:user', router)
    for (const user of [
      '42',
      'ann%40example.com',
      '550e8400-e29b-41d4-a716-446655440000',
      '01ARZ3NDEKTSV4RRFFQ69G5FAV',
    ]) {
      await request(app).get(`/users/${user}/orders/7`).expect(204)
    }
    expect(sink.events.map(({ path }) => path)).toEqual(new Array(4).fill('/users/:id/orders/:order'))
    await security.close()
  })
})

describe('securityLog', () => {
  it('believes X-Forwarded-For only as far as the application trusts its proxies', async () => {
    const direct = world()
    await request(direct.app).get('/status/403').set('X-Forwarded-For', '203.0.113.7')
    expect(direct.sink.events[0]?.ip).toBe('127.0.0.1')
    const proxied = world()
    proxied.app.set('trust proxy', 'loopback')
    await request(proxied.app).get('/status/403').set('X-Forwarded-For', 'forged, 203.0.113.7')
    expect(proxied.sink.events[0]?.ip).toBe('203.0.113.7')
    await Promise.all([direct.security.close(), proxied.security.close()])
  })

  it('leaves 429 to the rate limiter where that reports its refusals', async () => {
    const { app, sink, security } = world()
    const limit = { limiter: 'api', policy: 'p', retryAfterMs: 1, blocked: false, repeated: 0, shadow: false }
    redis.emit('limit.exceeded', limit)
    await request(app).get('/status/429')
    expect(sink.events.filter(({ event }) => event === 'excess_rate_limit_exceeded')).toHaveLength(1)
    await security.close()
  })

  it('knows by credentials whether a 401 is a refusal or an invitation', async () => {
    const { app, sink, security } = world()
    await request(app).get('/status/401').set('Authorization', 'Bearer nonsense-token')
    expect(sink.events[0]).toMatchObject({ event: 'authz_fail', level: 'warn', reason: 'unauthenticated' })
    expect(sink.lines[0]).not.toContain('nonsense-token')
    await security.close()
  })

  it('records nothing by itself with observe: false', async () => {
    const { app, sink, security } = world({ observe: false })
    await request(app).get('/status/403')
    expect(sink.events).toEqual([])
    await security.close()
  })

  it('serves requests though the functions of the application throw', async () => {
    const thrower = (): never => {
      throw new Error('no user')
    }
    const { app, sink, security } = world({ user: thrower, requestId: thrower })
    await request(app).get('/status/403').expect(403)
    expect(sink.events).toHaveLength(1)
    await security.close()
  })

  it('takes hostile paths and headers as text', async () => {
    const { app, sink, security } = world()
    app.use((_req, res) => void res.sendStatus(403))
    await request(app)
      .get(`/%0d%0aforged/__proto__/${'a'.repeat(5000)}?${'b'.repeat(5000)}`)
      .set('User-Agent', '\u00ff=cmd|x')
    expect(sink.events[0]?.path?.length).toBeLessThanOrEqual(300)
    expect(sink.lines[0]).not.toMatch(/[\r\n]/)
    await security.close()
  })

  it('writes to Redis after the response, not before', async () => {
    const { app, security } = world()
    const before = (await rawStream(server)).length
    await request(app).get('/status/403')
    await security.flush()
    expect((await rawStream(server)).length).toBe(before + 1)
    await security.close()
  })

  it('names the option that is wrong', () => {
    expect(() => securityLog({ redis, observe: 'yes' as never })).toThrow(
      /securityLog: "observe" must be true or false/,
    )
    expect(() => securityLog({} as never)).toThrow(/securityLog: "redis" is required/)
  })
})
