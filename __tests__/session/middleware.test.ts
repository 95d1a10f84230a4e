import { describe, expect, it } from '@jest/globals'
import { RedisStore as RedisStore9 } from 'connect-redis-9'
import { RedisStore as RedisStore10 } from 'connect-redis-10'
import express from 'express'
import express4 from 'express4'
import request from 'supertest'
import { redisSession } from '../../src/session/index.js'
import { eventually } from '../support/eventually.js'
import { cookieOf, createApp, idOf, login, SECRET, useRedis } from './app.js'

const world = useRedis()

describe.each([
  ['Express 5, connect-redis 8', express, undefined],
  ['Express 5, connect-redis 9', express, RedisStore9],
  ['Express 5, connect-redis 10', express, RedisStore10],
  ['Express 4, connect-redis 8', express4 as unknown as typeof express, undefined],
  ['Express 4, connect-redis 10', express4 as unknown as typeof express, RedisStore10],
])('a session on %s', (_, framework, RedisStore) => {
  const app = () => createApp({ redis: world.redis, framework, ...(RedisStore && { RedisStore }) })

  it('is kept from one request to the next', async () => {
    const cookie = await login(app(), 'ann')
    await request(app()).get('/').set('Cookie', cookie).expect(200, { user: 'ann', state: 'ready' })
  })

  it('changes its id at log-in, and the old one opens nothing', async () => {
    const before = cookieOf(await request(app()).post('/set/k1/a'))
    const after = cookieOf(await request(app()).post('/login/ann').set('Cookie', before))
    expect(idOf(after)).not.toBe(idOf(before))
    await request(app())
      .get('/all')
      .set('Cookie', before)
      .expect(/^(?!.*k1).*$/)
  })

  it('is gone after the log-out', async () => {
    const cookie = await login(app())
    await request(app()).post('/logout').set('Cookie', cookie).expect(200)
    await request(app()).get('/').set('Cookie', cookie).expect({ user: null, state: 'ready' })
  })

  it('offers the operations of connect-redis', async () => {
    const middleware = redisSession({ redis: world.redis, secret: SECRET, ...(RedisStore && { RedisStore }) })
    const store = middleware.store as unknown as Record<string, (...args: unknown[]) => void>
    const call = (name: string, ...args: unknown[]) =>
      new Promise<unknown>((resolve, reject) => {
        store[name]?.(...args, (error: unknown, result: unknown) => (error ? reject(error) : resolve(result)))
      })
    await call('clear')
    await call('set', 'one', { cookie: {}, user: 'ann' })
    await call('set', 'two', { cookie: {}, user: 'bob' })
    expect(await call('get', 'one')).toMatchObject({ user: 'ann' })
    expect(await call('length')).toBe(2)
    expect(((await call('all')) as { user: string }[]).map(({ user }) => user).sort()).toEqual(['ann', 'bob'])
    expect(await call('ids')).toHaveLength(2)
    await call('touch', 'one', { cookie: {} })
    await call('destroy', 'one')
    expect(await call('get', 'one')).toBeNull()
    await call('clear')
    expect(await call('length')).toBe(0)
  })
})

describe('a session', () => {
  const app = (options = {}) => createApp({ redis: world.redis, ...options })

  it('is not stored and sets no cookie while nothing is put into it', async () => {
    const response = await request(app()).get('/').expect(200)
    expect(response.headers['set-cookie']).toBeUndefined()
  })

  it('has a cookie that scripts cannot read and other sites do not send', async () => {
    const response = await request(app()).post('/login/ann')
    expect(response.headers['set-cookie']?.[0]).toMatch(/^sid=.*; Path=\/; HttpOnly; SameSite=Lax$/)
  })

  it('has a __Host- cookie where it is secure', async () => {
    const secure = express()
    secure.set('trust proxy', 1)
    secure.use(createApp({ redis: world.redis, cookie: { secure: true } }))
    const response = await request(secure).post('/login/ann').set('X-Forwarded-Proto', 'https')
    expect(response.headers['set-cookie']?.[0]).toMatch(/^__Host-sid=.*; Path=\/; HttpOnly; Secure; SameSite=Lax$/)
  })

  it('is stored under a hash: what Redis holds opens no session', async () => {
    const cookie = await login(app())
    const [tag, random] = idOf(cookie).split('.') as [string, string]
    const keys = await world.server.client().keys('*')
    expect(keys.some((key) => key.includes(`{${tag}}`))).toBe(true)
    expect(keys.some((key) => key.includes(random))).toBe(false)
  })

  it('costs one round trip where it is only read', async () => {
    const cookie = await login(app())
    const calls: string[] = []
    const off = world.redis.on('redis.call', ({ operation }) => void calls.push(operation))
    await request(app()).get('/').set('Cookie', cookie).expect(200)
    off()
    expect(calls).toEqual(['session.read'])
  })

  it('is not brought back by a write that arrives after the log-out', async () => {
    const slow = express()
    let release = (): void => {}
    const released = new Promise<void>((resolve) => {
      release = resolve
    })
    slow.use(redisSession({ redis: world.redis, secret: SECRET }))
    slow.post('/slow', async (req, res) => {
      req.session.visits = 1
      await released
      res.end()
    })
    const cookie = await login(app())
    const drops: unknown[] = []
    const off = world.redis.on('session.dropped', (event) => void drops.push(event.reason))
    const late = request(slow).post('/slow').set('Cookie', cookie)
    const answer = late.then((response) => response)
    await new Promise((resolve) => setTimeout(resolve, 50))
    await request(app()).post('/logout').set('Cookie', cookie).expect(200)
    release()
    expect((await answer).status).toBe(200)
    off()
    expect(drops).toEqual(['gone'])
    await request(app()).get('/').set('Cookie', cookie).expect({ user: null, state: 'ready' })
  })

  it('keeps the changes of every one of fifty parallel requests', async () => {
    const cookie = await login(app())
    const one = app()
    await Promise.all(Array.from({ length: 50 }, (_, i) => request(one).post(`/set/k${i}/v${i}`).set('Cookie', cookie)))
    const { body } = await request(one).get('/all').set('Cookie', cookie)
    for (let i = 0; i < 50; i++) expect(body[`k${i}`]).toBe(`v${i}`)
  })

  it('keeps the later of two parallel changes of one key, and tells', async () => {
    const two = app()
    let arrived = 0
    let goOn = (): void => {}
    const both = new Promise<void>((resolve) => {
      goOn = resolve
    })
    two.post('/same/:value', async (req, res) => {
      arrived += 1
      if (arrived === 2) goOn()
      await both
      req.session.k1 = req.params.value
      res.end()
    })
    const cookie = await login(two)
    const conflicts: unknown[] = []
    const off = world.redis.on('session.conflict', ({ keys }) => void conflicts.push(keys))
    await Promise.all(['a', 'b'].map((value) => request(two).post(`/same/${value}`).set('Cookie', cookie).expect(200)))
    off()
    expect(conflicts).toEqual([['k1']])
    const { body } = await request(two).get('/all').set('Cookie', cookie)
    expect(['a', 'b']).toContain(body.k1)
  })

  it('restarts its idle time at most once in touchAfter', async () => {
    const [rarely, always] = [app({ touchAfter: 600_000 }), app({ touchAfter: 0 })]
    const cookie = await login(rarely)
    const [key] = await world.server.client().keys(`*{${idOf(cookie).slice(0, 16)}}*`)
    const seen = () => world.server.client().hget(key as string, 'l')
    const before = await seen()
    await new Promise((resolve) => setTimeout(resolve, 20))
    for (let i = 0; i < 3; i++) await request(rarely).get('/').set('Cookie', cookie).expect(200)
    expect(await seen()).toBe(before)
    await request(always).get('/').set('Cookie', cookie).expect(200)
    expect(await seen()).not.toBe(before)
  })

  it.each([
    ['a JSON text cut short', 'd', '{"cookie":{'],
    ['bytes that are no text', 'd', Buffer.from([1, 0xff, 0xfe]).toString('latin1')],
    ['JSON that is no object', 'd', '[1,2]'],
    ['a version that is no number', 'v', 'x'],
  ])('that is corrupt (%s) counts as absent, is reported, and is kept', async (_, field, value) => {
    const cookie = await login(app())
    const key = (await world.server.client().keys(`*{${idOf(cookie).slice(0, 16)}}*`))[0] as string
    await world.server.client().hset(key, field, value)
    const problems: string[] = []
    const off = world.redis.on('data.corrupt', ({ feature }) => void problems.push(feature))
    const response = await request(app()).get('/').set('Cookie', cookie)
    off()
    if (value.startsWith('\x01')) {
      // Sealed by a node that knows more keys than this one: nobody is logged out.
      expect(response.body).toEqual({ user: null, state: 'unavailable' })
    } else {
      expect(response.body).toEqual({ user: null, state: 'ready' })
      expect(problems).toEqual(['session'])
    }
    expect(response.headers['set-cookie']).toBeUndefined()
    expect(await world.server.client().exists(key)).toBe(1)
  })

  it('whose key holds something else counts as absent and is reported', async () => {
    const cookie = await login(app())
    const key = (await world.server.client().keys(`*{${idOf(cookie).slice(0, 16)}}*`))[0] as string
    await world.server.client().set(key, 'a string')
    await request(app()).get('/').set('Cookie', cookie).expect({ user: null, state: 'ready' })
    expect(await world.server.client().get(key)).toBe('a string')
  })

  it('does not come from a forged, cut or oversized cookie, and a wrong signature is an event', async () => {
    const cookie = await login(app())
    const rejected: string[] = []
    const off = world.redis.on('session.rejected', ({ reason }) => void rejected.push(reason))
    const forgeries = [`${cookie}x`, cookie.slice(0, -3), `sid=s%3A${'a'.repeat(8000)}.b`, 'sid=%', 'sid=__proto__']
    for (const forged of forgeries) {
      const response = await request(app()).get('/').set('Cookie', forged)
      expect(response.body).toEqual({ user: null, state: 'ready' })
      expect(response.headers['set-cookie']).toBeUndefined()
    }
    off()
    expect(rejected).toHaveLength(forgeries.length)
    await request(app()).get('/').set('Cookie', cookie).expect({ user: 'ann', state: 'ready' })
  })

  it('keeps __proto__ in its data harmless', async () => {
    const polluting = express()
    polluting.use(redisSession({ redis: world.redis, secret: SECRET }))
    polluting.get('/', (req, res) => {
      Object.assign(req.session, { k1: JSON.parse('{"__proto__":{"admin":true}}') })
      res.json({ admin: ({} as { admin?: boolean }).admin ?? null })
    })
    const cookie = cookieOf(await request(polluting).get('/'))
    await request(polluting).get('/').set('Cookie', cookie).expect({ admin: null })
  })

  it('larger than maxBytes is refused with an error that names the largest keys', async () => {
    const small = app({ maxBytes: 200 })
    small.use(((error, _req, res, _next) => {
      res.status(500).json({ code: error.code, message: error.message })
    }) satisfies express.ErrorRequestHandler)
    const { body } = await request(small)
      .post(`/set/k1/${'x'.repeat(300)}`)
      .expect(500)
    expect(body.code).toBe('ERR_HOLDFAST_SESSION_TOO_LARGE')
    expect(body.message).toMatch(/of at most 200: "k1" \(302\)/)
  })

  it('warns once where https comes through a proxy that is not trusted', async () => {
    const warnings: string[] = []
    const off = world.redis.on('warning', ({ code }) => void warnings.push(code))
    const behind = app()
    for (let i = 0; i < 2; i++) await request(behind).get('/').set('X-Forwarded-Proto', 'https')
    off()
    expect(warnings).toEqual(['HOLDFAST_SESSION_TRUST_PROXY'])
  })

  it('ends after its idle time, and sooner use prolongs it', async () => {
    const short = app({ ttl: 2500, touchAfter: 0 })
    const cookie = await login(short)
    for (let i = 0; i < 4; i++) {
      await new Promise((resolve) => setTimeout(resolve, 700))
      await request(short).get('/').set('Cookie', cookie).expect({ user: 'ann', state: 'ready' })
    }
    const keys = () => world.server.client().keys(`*{${idOf(cookie).slice(0, 16)}}*`)
    await eventually(async () => (await keys()).length === 0, { within: 10_000 })
    await request(short).get('/').set('Cookie', cookie).expect({ user: null, state: 'ready' })
  })

  it('in use survives an explicit save() after the time its cookie was first given', async () => {
    const saving = app({ cookie: { maxAge: 2500 }, touchAfter: 0 })
    saving.post('/save', (req, res, next) => req.session.save((error) => (error ? next(error) : res.json(true))))
    const cookie = await login(saving)
    for (let i = 0; i < 4; i++) {
      await new Promise((resolve) => setTimeout(resolve, 700))
      await request(saving).get('/').set('Cookie', cookie).expect({ user: 'ann', state: 'ready' })
    }
    await request(saving).post('/save').set('Cookie', cookie).expect(200)
    await request(saving).get('/').set('Cookie', cookie).expect({ user: 'ann', state: 'ready' })
  })

  it('with a cookie of no age left is ended by saving it', async () => {
    const ending = app()
    ending.post('/end', (req, res) => {
      req.session.cookie.maxAge = 0
      req.session.visits = 1
      res.json(true)
    })
    const cookie = await login(ending)
    await request(ending).post('/end').set('Cookie', cookie)
    await request(ending).get('/').set('Cookie', cookie).expect({ user: null, state: 'ready' })
  })

  it('ends at its absolute end, however much it is used', async () => {
    const short = app({ ttl: 60_000, absoluteTtl: 1500, touchAfter: 0 })
    const cookie = await login(short)
    const user = async () => (await request(short).get('/').set('Cookie', cookie).expect(200)).body.user
    await eventually(async () => (await user()) === null, { within: 10_000 })
  })
})

describe('redisSession', () => {
  it.each([
    [{ secret: '' }, /redisSession: "secret" must be a non-empty string/],
    [{ secret: [] }, /"secret" must be/],
    [{ secret: [''] }, /"secret" must be/],
    [{ secret: undefined }, /"secret" is required/],
    [{ ttl: -1 }, /"ttl" must be a duration/],
    [{ onUnavailable: 'panic' }, /"onUnavailable" must be 'passthrough' or 'ephemeral' or 'reject', or a function/],
    [{ store: {} }, /"store" is not an option/],
  ])('refuses %j', (options, message) => {
    expect(() => redisSession({ redis: world.redis, secret: SECRET, ...(options as object) })).toThrow(message)
  })

  it('never shows a secret in its messages', () => {
    expect(() => redisSession({ redis: world.redis, secret: 12345678 as never })).toThrow(/^(?!.*12345678).*\[secret\]/)
  })
})
