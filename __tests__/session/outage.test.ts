import { createHmac } from 'node:crypto'
import { describe, expect, it } from '@jest/globals'
import express from 'express'
import request from 'supertest'
import { createRedisManager, type RedisManager } from '../../src/redis/index.js'
import { createSessions, jwt, type RedisSessionOptions, redisSession, requireSession } from '../../src/session/index.js'
import { eventually } from '../support/eventually.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { cookieOf, createApp, login, SECRET } from './app.js'

interface World {
  readonly server: RedisServer
  readonly redis: RedisManager
  /** Makes Redis hang until it is known to be away. */
  away(): Promise<void>
  back(): Promise<void>
}

async function withWorld(run: (world: World) => Promise<void>): Promise<void> {
  const server = await startRedis()
  const redis = createRedisManager({ url: server.url, logger: false })
  try {
    await redis.ready()
    await run({
      server,
      redis,
      async away() {
        server.pause()
        await eventually(async () => {
          await redis.attempt(
            'probe',
            (client) => client.ping(),
            () => '',
          )
          return !redis.available
        })
      },
      async back() {
        server.resume()
        await eventually(() => redis.available, { within: 10_000 })
      },
    })
  } finally {
    server.resume()
    await redis.close()
    await server.stop()
  }
}

describe('an end of a session during an outage', () => {
  it('holds at once where it was made, and everywhere when Redis is back', () =>
    withWorld(async ({ server, redis, away, back }) => {
      const registry = createSessions({ redis })
      const elsewhere = createRedisManager({ url: server.url, logger: false })
      await elsewhere.ready()
      const { id } = await registry.create({ user: 'ann' })
      const other = await registry.create({ user: 'ann' })
      await away()
      expect(await registry.destroy(id)).toBe(true)
      await back()
      await eventually(async () => (await createSessions({ redis: elsewhere }).validate(id)).valid === false, {
        within: 10_000,
      })
      expect(await registry.validate(id)).toMatchObject({ valid: false, degraded: false })
      expect((await registry.validate(other.id)).valid).toBe(true)
      await elsewhere.close()
    }))

  it('comes before every write that waited: the session does not come back', () =>
    withWorld(async ({ redis, away, back }) => {
      const registry = createSessions({ redis })
      const { id } = await registry.create({ user: 'ann' })
      const session = await registry.get(id)
      expect(session).toEqual({})
      await away()
      await expect(registry.set(id, { a: 1 })).rejects.toMatchObject({ code: 'ERR_HOLDFAST_SESSION_UNAVAILABLE' })
      await registry.destroy(id)
      await back()
      await eventually(async () => (await registry.validate(id)).valid === false, { within: 10_000 })
      expect(await registry.get(id)).toBeUndefined()
    }))

  it('of all sessions of a user is made up for when Redis is back', () =>
    withWorld(async ({ redis, away, back }) => {
      const registry = createSessions({ redis })
      const created = await Promise.all([1, 2, 3].map(() => registry.create({ user: 'ann' })))
      const bob = await registry.create({ user: 'bob' })
      await away()
      expect(await registry.revokeAll('ann')).toBe(0)
      await back()
      for (const { id } of created) expect((await registry.validate(id)).valid).toBe(false)
      await eventually(async () => (await registry.list('ann')).length === 0, { within: 10_000 })
      expect((await registry.validate(bob.id)).valid).toBe(true)
    }))

  it('by req.sessions.logout() needs no session that can be read', () =>
    withWorld(async ({ redis, away, back }) => {
      const app = express()
      app.use(redisSession({ redis, secret: ['new', SECRET] }))
      app.post('/logout', async (req, res) => {
        await req.sessions.logout()
        res.end()
      })
      app.get('/', (req, res) => void res.json(req.sessions.userId ?? null))
      const old = express()
      old.use(redisSession({ redis, secret: SECRET }))
      old.post('/login', async (req, res) => {
        await req.sessions.login('ann')
        res.end()
      })
      const cookie = cookieOf(await request(old).post('/login'))
      await request(app).get('/').set('Cookie', cookie).expect('"ann"')
      await away()
      await request(app).post('/logout').set('Cookie', `${cookie}x`).expect(200)
      await request(app).post('/logout').set('Cookie', cookie).expect(200)
      await back()
      await eventually(async () => (await request(old).post('/login')).status === 200, { within: 10_000 })
      await request(app).get('/').set('Cookie', cookie).expect('null')
    }))
})

describe('a write that an outage cut off', () => {
  const appOf = (redis: RedisManager, server: RedisServer) => {
    const app = createApp({ redis })
    app.post('/cut/:key/:value', (req, res) => {
      server.pause()
      Object.assign(req.session, { [req.params.key]: req.params.value })
      res.json({})
    })
    return app
  }

  it('is made when Redis is back', () =>
    withWorld(async ({ server, redis, back }) => {
      const app = appOf(redis, server)
      const cookie = await login(app)
      await request(app).post('/cut/k1/late').set('Cookie', cookie).expect(200)
      await eventually(() => !redis.available, { within: 10_000 })
      await back()
      await eventually(async () => (await request(app).get('/all').set('Cookie', cookie)).body.k1 === 'late', {
        within: 10_000,
      })
    }))

  it('of parallel requests keeps what each of them changed', () =>
    withWorld(async ({ server, redis, back }) => {
      const app = createApp({ redis })
      let arrived = 0
      let goOn = (): void => {}
      const both = new Promise<void>((resolve) => {
        goOn = resolve
      })
      app.post('/cut-both/:key', async (req, res) => {
        arrived += 1
        if (arrived === 2) {
          server.pause()
          goOn()
        }
        await both
        Object.assign(req.session, { [req.params.key]: 'late' })
        res.json({})
      })
      const cookie = await login(app)
      await Promise.all(
        ['k1', 'k2'].map((key) => request(app).post(`/cut-both/${key}`).set('Cookie', cookie).expect(200)),
      )
      await eventually(() => !redis.available, { within: 10_000 })
      await back()
      await eventually(
        async () => {
          const { body } = await request(app).get('/all').set('Cookie', cookie)
          return body.k1 === 'late' && body.k2 === 'late'
        },
        { within: 10_000 },
      )
    }))

  it('to a session that is sealed with an unknown key since is dropped and told', () =>
    withWorld(async ({ server, redis, back }) => {
      const [before, after] = ['before', 'after'].map((id, i) => ({ id, key: Buffer.alloc(32, i + 1) }))
      if (before === undefined || after === undefined) throw new Error('two keys')
      const elsewhere = createRedisManager({ url: server.url, logger: false })
      await elsewhere.ready()
      const registry = createSessions({ redis: elsewhere, encryption: { keys: [after, before] } })
      const app = createApp({ redis, encryption: { keys: [before] } })
      app.post('/cut', async (req, res) => {
        await registry.set(req.sessionID, { k2: 'theirs' })
        server.pause()
        Object.assign(req.session, { k1: 'mine' })
        res.json({})
      })
      const drops: string[] = []
      redis.on('session.dropped', ({ reason }) => void drops.push(reason))
      const cookie = await login(app)
      await request(app).post('/cut').set('Cookie', cookie).expect(200)
      await eventually(() => !redis.available, { within: 10_000 })
      await back()
      await eventually(() => drops.length > 0, { within: 10_000 })
      expect(drops).toEqual(['unknown-key'])
      await request(app).get('/').set('Cookie', cookie).expect(200, { user: null, state: 'unavailable' })
      await elsewhere.close()
    }))

  it('leaves what was written since, and gives way where both changed the same key', () =>
    withWorld(async ({ server, redis }) => {
      const proxied = appOf(redis, server)
      const cookie = await login(proxied)
      await request(proxied).post('/cut/k1/mine').set('Cookie', cookie).expect(200)
      await eventually(() => !redis.available, { within: 10_000 })
      const other = createRedisManager({ url: server.url, logger: false, commandTimeout: 1000 })
      server.resume()
      await other.ready()
      await eventually(() => redis.available, { within: 10_000 })
      const elsewhere = createApp({ redis: other })
      await request(elsewhere).post('/set/k2/theirs').set('Cookie', cookie).expect({ kept: true })
      await eventually(async () => {
        const { body } = await request(elsewhere).get('/all').set('Cookie', cookie)
        return body.k1 === 'mine' && body.k2 === 'theirs'
      })
      await other.close()
    }))
})

describe('an outage that begins while a token is validated', () => {
  it('is an answer, not an error', () =>
    withWorld(async ({ server, redis }) => {
      const registry = createSessions({ redis })
      const { id } = await registry.create('ann', 'a token')
      await registry.destroy(id)
      redis.on('redis.call', ({ operation }) => {
        if (operation === 'session.read') server.pause()
      })
      expect(await registry.validate('a token')).toEqual({ valid: false, reason: 'unavailable', degraded: true })
    }))
})

describe('the fallback to access tokens', () => {
  const KEY = 'a key of the tests, which is long enough'
  const token = (claims: object, key = KEY, header: object = { alg: 'HS256' }): string => {
    const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url')
    const now = Math.floor(Date.now() / 1000)
    const body = { iss: 'login', aud: 'shop', sub: 'ann', iat: now, exp: now + 600, ...claims }
    const text = `${encode(header)}.${encode(body)}`
    return `${text}.${createHmac('sha256', key).update(text).digest('base64url')}`
  }
  const fallback = jwt({
    key: new TextEncoder().encode(KEY),
    algorithms: ['HS256'],
    issuer: 'login',
    audience: 'shop',
  })
  const appOf = (redis: RedisManager, options: Partial<RedisSessionOptions> = {}) => {
    const app = express()
    const session = redisSession({ redis, secret: SECRET, fallback, ...options })
    app.use(session)
    app.get('/', requireSession(), (req, res) => void res.json([req.sessions.userId, req.sessions.state]))
    app.get('/sensitive', requireSession({ fresh: '1h' }), (_req, res) => void res.end())
    return Object.assign(app, { session })
  }
  const ask = (app: express.Express, bearer: string, path = '/') =>
    request(app).get(path).set('Authorization', `Bearer ${bearer}`)

  it('says who the user is, marked as degraded, and only while Redis is away', () =>
    withWorld(async ({ redis, away, back }) => {
      const app = appOf(redis)
      await ask(app, token({})).expect(401)
      await away()
      await ask(app, token({})).expect(200, ['ann', 'degraded'])
      await ask(app, token({}), '/sensitive').expect(503)
      await back()
      await ask(app, token({})).expect(401)
    }))

  it.each([
    ['is forged', token({}, 'another key of the tests, long enough')],
    ['is unsigned', token({}, KEY, { alg: 'none' })],
    ['is expired', token({ exp: 1000 })],
    ['is older than maxAge', token({ iat: Math.floor(Date.now() / 1000) - 3600 })],
    ['is for another audience', token({ aud: 'bank' })],
    ['names nobody', token({ sub: undefined })],
    ['is no token', 'x'],
    ['is oversized', 'x'.repeat(9000)],
  ])('does not believe a token that %s, and answers 503', (_, bad) =>
    withWorld(async ({ redis, away }) => {
      const app = appOf(redis)
      await away()
      await ask(app, bad).expect(503)
    }),
  )

  it('knows what was revoked here during the outage', () =>
    withWorld(async ({ redis, away }) => {
      const app = appOf(redis)
      const { id, handle } = await app.session.sessions.create({ user: 'bob' })
      await away()
      await ask(app, token({ sub: 'bob', sid: id })).expect(200)
      await app.session.sessions.destroy(id)
      await ask(app, token({ sub: 'bob', sid: id })).expect(503)
      await ask(app, token({ sub: 'bob', sid: handle })).expect(503)
      await app.session.sessions.revokeAll('ann')
      await ask(app, token({ sub: 'ann' })).expect(503)
      await ask(app, token({ sub: 'bob' })).expect(200)
    }))

  it('ends after fallbackFor', () =>
    withWorld(async ({ redis, away }) => {
      const app = appOf(redis, { fallbackFor: 300 })
      await away()
      await ask(app, token({})).expect(200)
      await eventually(async () => (await ask(app, token({}))).status === 503, { within: 10_000 })
    }))

  it('serves validate(), unless freshness is required', () =>
    withWorld(async ({ redis, away }) => {
      const registry = createSessions({ redis, fallback })
      const { id } = await registry.create('ann', 'opaque token')
      await away()
      expect(await registry.validate(token({}))).toEqual({ valid: true, userId: 'ann', degraded: true })
      const unavailable = { valid: false, reason: 'unavailable', degraded: true }
      expect(await registry.validate(token({}), { requireFresh: true })).toEqual(unavailable)
      expect(await registry.validate(id)).toEqual(unavailable)
      expect(await registry.validate('opaque token')).toEqual(unavailable)
    }))

  it.each([
    [{ algorithms: ['none'] }, /"algorithms" must be an array of algorithms/],
    [{ algorithms: [] }, /"algorithms" must be/],
    [{ issuer: '' }, /"issuer" must be a non-empty string/],
    [{ key: undefined }, /"key" is required/],
  ])('refuses %j', (options, message) => {
    const good = { key: new Uint8Array(32), algorithms: ['HS256'], issuer: 'a', audience: 'b' }
    expect(() => jwt({ ...good, ...options })).toThrow(message)
  })
})
