import { beforeEach, describe, expect, it } from '@jest/globals'
import type { Express } from 'express'
import session from 'express-session'
import { createRedisManager, type RedisManager } from 'holdfast'
import { redisSession } from 'holdfast/session'
import request from 'supertest'
import { createApp } from '../../examples/10-full-api/app.js'
import { describeDegradation } from '../contract/degradation.js'
import { eventually } from '../support/eventually.js'
import type { RedisServer } from '../support/redis-server.js'
import { useRedis } from '../support/use-redis.js'

const secret = 'a secret for tests only'
const quiet = (): void => {}

describe('the full API', () => {
  let server: RedisServer
  let redis: RedisManager
  let app: Express

  useRedis((own) => {
    server = own.server
    redis = own.redis
  })
  beforeEach(async () => {
    await server.client().flushall()
    app = createApp({ redis, sessions: redisSession({ redis, secret }), sink: quiet })
  })

  const logIn = async () => {
    const agent = request.agent(app)
    await agent.post('/login').send({ user: 'ada', password: 'holdfast' }).expect(200)
    return agent
  }

  it('answers the list from the cache the second time', async () => {
    const first = await request(app).get('/products').expect(200).expect('X-Cache', 'MISS')
    await eventually(async () => {
      const second = await request(app).get('/products').expect('X-Cache', 'HIT')
      expect(second.body).toEqual(first.body)
    })
  })

  it('keeps lists of different queries apart', async () => {
    const deck = await request(app).get('/products?category=deck').expect(200)
    expect(deck.body).toHaveLength(2)
    const all = await request(app).get('/products').expect(200)
    expect(all.body).toHaveLength(3)
  })

  it('shows a new product at once, although lists were cached', async () => {
    const agent = await logIn()
    await request(app).get('/products').expect('X-Cache', 'MISS')
    await eventually(() => request(app).get('/products').expect('X-Cache', 'HIT'))
    await agent.post('/products').send({ name: 'Sextant', category: 'bridge', price: 210 }).expect(201)
    const list = await request(app).get('/products').expect('X-Cache', 'MISS')
    expect(list.body.map(({ name }: { name: string }) => name)).toContain('Sextant')
  })

  it('knows who is logged in until the log-out', async () => {
    await request(app).get('/me').expect(401)
    const agent = await logIn()
    await agent.get('/me').expect(200, { user: 'ada' })
    await agent.post('/logout').expect(204)
    await agent.get('/me').expect(401)
  })

  it('stops the sixth attempt to log in', async () => {
    const attempt = () => request(app).post('/login').send({ user: 'ada', password: 'guess' })
    for (let i = 0; i < 5; i++) await attempt().expect(401)
    const refused = await attempt().expect(429)
    expect(refused.headers['content-type']).toMatch('application/problem+json')
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0)
  })

  it('shows the audit trail to those who are logged in, without the password', async () => {
    await request(app).get('/audit').expect(401)
    await request(app).post('/login').send({ user: 'eve', password: 'hunter2-secret' }).expect(401)
    const agent = await logIn()
    await eventually(async () => {
      const { body, text } = await agent.get('/audit').expect(200)
      const events = body.map(({ event }: { event: string }) => event)
      expect(events).toEqual(expect.arrayContaining(['authn_login_fail', 'authn_login_success']))
      expect(text).not.toContain('hunter2')
    })
  })

  it('runs without any Redis: sessions in the process, limits in memory, nothing cached', async () => {
    const none = createRedisManager({ env: {}, logger: false })
    const sessions = session({ secret, resave: false, saveUninitialized: false })
    const alone = createApp({ redis: none, sessions, sink: quiet })
    const agent = request.agent(alone)
    await agent.get('/products').expect(200).expect('X-Cache', 'BYPASS')
    await agent.post('/login').send({ user: 'ada', password: 'holdfast' }).expect(200)
    await agent.get('/me').expect(200, { user: 'ada' })
    for (let i = 0; i < 4; i++) await agent.post('/login').send({ user: 'ada', password: 'x' }).expect(401)
    await agent.post('/login').send({ user: 'ada', password: 'x' }).expect(429)
    await none.close()
  })
})

describeDegradation('the full API', {
  mount: (redis) => {
    const app = createApp({ redis, sessions: redisSession({ redis, secret }), sink: quiet })
    // The suite asks for '/'; a hundred requests a minute are less than it sends.
    app.get('/', (_req, res) => void res.send('from the handler'))
    return app
  },
  whenUp: async (get) => {
    await get('/products')
    expect((await get('/products')).headers.get('x-cache')).toBe('HIT')
  },
  whenAway: ({ body }) => expect(body).toBe('from the handler'),
})
