import { createHmac } from 'node:crypto'
import { describe, expect, it } from '@jest/globals'
import express, { type Express } from 'express'
import passport from 'passport'
import request from 'supertest'
import { addressOf } from '../../src/session/address.js'
import { type RedisSessionOptions, redisSession, requireSession } from '../../src/session/index.js'
import { cookieOf, idOf, SECRET, useRedis } from './app.js'

const world = useRedis()

function app(options: Partial<RedisSessionOptions> = {}): Express & { session: ReturnType<typeof redisSession> } {
  const session = redisSession({ redis: world.redis, secret: SECRET, ...options })
  const app = express()
  app.use(session)
  app.get(
    '/me',
    (req, res) => void res.json({ user: req.sessions.userId ?? null, visits: req.session?.visits ?? null }),
  )
  app.post('/visit', (req, res) => {
    req.session.visits = (req.session.visits ?? 0) + 1
    res.json({ visits: req.session.visits })
  })
  app.post('/login/:user', async (req, res) => {
    await req.sessions.login(req.params.user as string, { keep: ['visits'] })
    res.json({ user: req.sessions.userId })
  })
  app.post('/logout', async (req, res) => {
    await req.sessions.logout()
    res.json({ user: req.sessions.userId ?? null })
  })
  app.post('/rotate', async (req, res) => {
    await req.sessions.rotate({ reauthenticated: req.query.again === 'yes' })
    res.json({ user: req.sessions.userId })
  })
  app.get('/devices', async (req, res) => void res.json(await req.sessions.list()))
  app.post('/revoke-others', async (req, res) => void res.json(await req.sessions.revokeOthers()))
  app.post('/state/:value', async (req, res) => void res.json(await req.sessions.setOnce('state', req.params.value)))
  app.post('/take', async (req, res) => void res.json((await req.sessions.take('state')) ?? null))
  app.get('/private', requireSession(), (req, res) => void res.json({ user: req.sessions.userId }))
  app.get('/sensitive', requireSession({ fresh: 2500 }), (req, res) => void res.json({ user: req.sessions.userId }))
  return Object.assign(app, { session })
}

const post = (on: Express, path: string, cookie = '') => request(on).post(path).set('Cookie', cookie)
const get = (on: Express, path: string, cookie = '') => request(on).get(path).set('Cookie', cookie)

describe('req.sessions', () => {
  it('logs in under a new id, keeps what it is told to, and ends the session before', async () => {
    const one = app()
    const before = cookieOf(await post(one, '/visit'))
    const after = cookieOf(await post(one, '/login/ann', before).expect({ user: 'ann' }))
    expect(idOf(after)).not.toBe(idOf(before))
    await get(one, '/me', after).expect({ user: 'ann', visits: 1 })
    await get(one, '/me', before).expect({ user: null, visits: null })
  })

  it('stores the session once for a log-in', async () => {
    const one = app()
    const before = cookieOf(await post(one, '/visit'))
    const calls: string[] = []
    const off = world.redis.on('redis.call', ({ operation }) => void calls.push(operation))
    await post(one, '/login/ann', before)
    off()
    expect(calls.filter((call) => call !== 'session.stats')).toEqual([
      'session.read',
      'session.create',
      'session.remove',
    ])
  })

  it('logs out and takes the cookie back', async () => {
    const one = app()
    const cookie = cookieOf(await post(one, '/login/ann'))
    const response = await post(one, '/logout', cookie).expect({ user: null })
    expect(response.headers['set-cookie']?.[0]).toMatch(/^sid=; Path=\/; Expires=Thu, 01 Jan 1970/)
    await get(one, '/me', cookie).expect({ user: null, visits: null })
  })

  it('rotates the id: requests on their way with the old one find the session and are told the new id', async () => {
    const one = app()
    const old = cookieOf(await post(one, '/login/ann'))
    await post(one, '/visit', old)
    const next = cookieOf(await post(one, '/rotate', old).expect(200))
    expect(idOf(next)).not.toBe(idOf(old))
    await get(one, '/me', next).expect({ user: 'ann', visits: 1 })
    const late = await get(one, '/me', old).expect({ user: 'ann', visits: 1 })
    expect(cookieOf(late)).toBe(next)
    const { hash } = addressOf(world.redis.keys, idOf(old))
    const [left] = await world.server.client().keys(`*:${hash}`)
    expect(await world.server.client().pttl(left as string)).toBeLessThanOrEqual(30_000)
    await post(one, '/visit', old).expect({ visits: 2 })
    await get(one, '/me', next).expect({ user: 'ann', visits: 2 })
    expect(await one.session.sessions.list('ann')).toContainEqual(
      expect.objectContaining({ device: expect.any(String) }),
    )
  })

  it('a device keeps its name in the list, and can be revoked by it, however often its id is renewed', async () => {
    const one = app()
    const registry = one.session.sessions
    let cookie = cookieOf(await post(one, '/login/frank'))
    const [before] = await registry.list('frank')
    for (let i = 0; i < 3; i++) cookie = cookieOf(await post(one, '/rotate', cookie))
    const [after] = await registry.list('frank')
    expect(after?.handle).toBe(before?.handle)
    expect(await registry.revoke('frank', before?.handle as string)).toBe(true)
    await get(one, '/me', cookie).expect({ user: null, visits: null })
  })

  it('an access token stays valid when the id of its session is renewed', async () => {
    const one = app()
    const registry = one.session.sessions
    const { id } = await registry.create('gina', 'token of gina')
    const signature = createHmac('sha256', SECRET).update(id).digest('base64').replace(/=+$/, '')
    const cookie = `sid=${encodeURIComponent(`s:${id}.${signature}`)}`
    await get(one, '/me', cookie).expect({ user: 'gina', visits: null })
    await post(one, '/rotate', cookie).expect(200)
    expect(await registry.validate('token of gina')).toEqual({ valid: true, userId: 'gina', degraded: false })
    await registry.revokeAll('gina')
    expect(await registry.validate('token of gina')).toMatchObject({ valid: false })
  })

  it('a log-out with the old id of a rotated session ends the session', async () => {
    const one = app()
    const old = cookieOf(await post(one, '/login/ann'))
    const next = cookieOf(await post(one, '/rotate', old))
    await post(one, '/logout', old).expect(200)
    await get(one, '/me', next).expect({ user: null, visits: null })
  })

  it('keeps fields through a rotation, and gives one to a single request', async () => {
    const one = app({ encryption: { keys: [{ id: 'k', key: Buffer.alloc(32, 1) }] } })
    const old = cookieOf(await post(one, '/login/ann'))
    await post(one, '/state/nonce', old).expect('true')
    const next = cookieOf(await post(one, '/rotate', old))
    const answers = await Promise.all(Array.from({ length: 10 }, () => post(one, '/take', next)))
    expect(answers.map(({ body }) => body).filter((body) => body !== null)).toEqual(['nonce'])
  })

  it('sets a field of a visitor who has no session yet, and then they have one', async () => {
    const one = app()
    const cookie = cookieOf(await post(one, '/state/nonce').expect('true'))
    await post(one, '/take', cookie).expect('"nonce"')
    await post(one, '/take', cookie).expect('null')
  })

  it('renews the id of a session by itself after renewAfter', async () => {
    const one = app({ renewAfter: 150 })
    const old = cookieOf(await post(one, '/login/ann'))
    expect((await get(one, '/me', old)).headers['set-cookie']).toBeUndefined()
    await new Promise((resolve) => setTimeout(resolve, 200))
    const answers = await Promise.all(Array.from({ length: 5 }, () => get(one, '/me', old)))
    expect(answers.map(({ body }) => body.user)).toEqual(Array(5).fill('ann'))
    const renewed = new Set(answers.map(cookieOf))
    expect([...renewed]).not.toContain(old)
    await get(one, '/me', [...renewed][0]).expect({ user: 'ann', visits: null })
    expect(await one.session.sessions.revokeAll('ann')).toBeGreaterThan(0)
  })

  it('lists the devices of its user and logs out the others', async () => {
    const one = app()
    const [laptop, phone] = [cookieOf(await post(one, '/login/dana')), cookieOf(await post(one, '/login/dana'))]
    const { body } = await get(one, '/devices', laptop)
    expect(body.map(({ current }: { current: boolean }) => current)).toEqual([false, true])
    await post(one, '/revoke-others', laptop).expect('1')
    await get(one, '/me', phone).expect({ user: null, visits: null })
    await get(one, '/me', laptop).expect({ user: 'dana', visits: null })
  })

  it('noTouch lets a request leave the idle time alone', async () => {
    const one = app({ ttl: 500, touchAfter: 0, noTouch: (req) => req.query.poll === '1' })
    const cookie = cookieOf(await post(one, '/login/ann'))
    const started = performance.now()
    while (performance.now() - started < 700) {
      await get(one, '/me?poll=1', cookie)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    await get(one, '/me', cookie).expect({ user: null, visits: null })
  })
})

describe('requireSession', () => {
  it('lets in who is logged in, and answers others 401', async () => {
    const one = app()
    const response = await get(one, '/private').expect(401)
    expect(response.body).toMatchObject({ status: 401, title: 'Log in first' })
    await get(one, '/private', cookieOf(await post(one, '/login/ann'))).expect({ user: 'ann' })
  })

  it('asks for a new log-in where the last is too long ago', async () => {
    const one = app()
    const cookie = cookieOf(await post(one, '/login/ann'))
    await get(one, '/sensitive', cookie).expect(200)
    await new Promise((resolve) => setTimeout(resolve, 2600))
    await get(one, '/sensitive', cookie).expect(403)
    const again = cookieOf(await post(one, '/rotate?again=yes', cookie))
    await get(one, '/sensitive', again).expect(200)
  })

  it('says so where it stands alone', async () => {
    const alone = express().use(requireSession(), (_req, res) => void res.end())
    alone.use(
      ((error, _req, res, _next) => void res.status(500).end(error.message)) satisfies express.ErrorRequestHandler,
    )
    const { status, text } = await request(alone).get('/')
    expect([status, text]).toEqual([500, 'requireSession needs redisSession before it'])
  })
})

describe('with Passport', () => {
  passport.use(
    Object.assign(Object.create(passport.Strategy.prototype), {
      name: 'by-name',
      authenticate(this: passport.StrategyCreated<passport.Strategy>, req: express.Request) {
        this.success({ id: String(req.query.name) })
      },
    }),
  )
  passport.serializeUser((user, done) => done(null, (user as { id: string }).id))
  passport.deserializeUser((id: string, done) => done(null, { id }))

  const withPassport = () => {
    const session = redisSession({ redis: world.redis, secret: SECRET })
    const app = express()
    app.use(session, passport.initialize(), passport.session())
    app.post('/login', passport.authenticate('by-name'), (req, res) => void res.json(req.user))
    app.get('/me', (req, res) => void res.json({ user: req.user ?? null, known: req.sessions.userId ?? null }))
    app.post('/logout', (req, res, next) => req.logout((error) => (error ? next(error) : res.json(true))))
    return Object.assign(app, { session })
  }

  it('its log-in and log-out work as they are, and its sessions are listed among those of their user', async () => {
    const app = withPassport()
    const cookie = cookieOf(await post(app, '/login?name=petra').expect(200))
    await get(app, '/me', cookie).expect({ user: { id: 'petra' }, known: 'petra' })
    expect(await app.session.sessions.list('petra')).toHaveLength(1)
    expect(await app.session.sessions.revokeAll('petra')).toBe(1)
    await get(app, '/me', cookie).expect({ user: null, known: null })
  })

  it('its log-out ends the session', async () => {
    const app = withPassport()
    const cookie = cookieOf(await post(app, '/login?name=paul'))
    await post(app, '/logout', cookie).expect('true')
    await get(app, '/me', cookie).expect({ user: null, known: null })
    expect(await app.session.sessions.list('paul')).toEqual([])
  })
})

describe('a user put into a session without a new id', () => {
  it('brings a warning, since the id may be known to another', async () => {
    const warnings: string[] = []
    const off = world.redis.on('warning', ({ code }) => void warnings.push(code))
    const app = express()
    app.use(redisSession({ redis: world.redis, secret: SECRET, userOf: (session) => session.user }))
    app.post('/:user', (req, res) => {
      req.session.user = req.params.user
      res.end()
    })
    app.post('/', (req, res) => {
      req.session.visits = 1
      res.end()
    })
    const cookie = cookieOf(await post(app, '/'))
    await post(app, '/ann', cookie)
    off()
    expect(warnings).toEqual(['HOLDFAST_SESSION_SAME_ID'])
  })
})

describe('migrateFrom', () => {
  it('takes over the sessions of a plain connect-redis, once', async () => {
    const client = world.server.client()
    const { default: session } = await import('express-session')
    const { RedisStore } = await import('connect-redis')
    const plain = express()
    plain.use(
      session({
        store: new RedisStore({ client, prefix: 'sess:' }),
        secret: SECRET,
        resave: false,
        saveUninitialized: false,
        name: 'sid',
      }),
    )
    plain.post('/visit', (req, res) => {
      req.session.visits = 41
      res.end()
    })
    const cookie = cookieOf(await post(plain, '/visit'))
    const one = app({ migrateFrom: 'sess:' })
    const answers = await Promise.all(Array.from({ length: 10 }, () => get(one, '/me', cookie)))
    expect(answers.map(({ body }) => body.visits)).toEqual(Array(10).fill(41))
    expect(await client.keys('sess:*')).toEqual([])
    await post(one, '/visit', cookie).expect({ visits: 42 })
    await post(one, '/logout', cookie)
    await get(one, '/me', cookie).expect({ user: null, visits: null })
  })

  it('leaves a session where it is while Redis refuses to take it over, and logs nobody out', async () => {
    const client = world.server.client()
    await client.set('sess:full', JSON.stringify({ cookie: {}, visits: 7 }))
    const signature = createHmac('sha256', SECRET).update('full').digest('base64').replace(/=+$/, '')
    const cookie = `sid=${encodeURIComponent(`s:full.${signature}`)}`
    const one = app({ migrateFrom: 'sess:' })
    try {
      await client.config('SET', 'maxmemory', '1')
      const response = await get(one, '/me', cookie).expect(200, { user: null, visits: null })
      expect(response.headers['set-cookie']).toBeUndefined()
    } finally {
      await client.config('SET', 'maxmemory', '0')
    }
    await get(one, '/me', cookie).expect({ user: null, visits: 7 })
  })
})
