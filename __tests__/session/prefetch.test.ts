import { createHmac } from 'node:crypto'
import { describe, expect, it } from '@jest/globals'
import express, { type Express, type Request } from 'express'
import request from 'supertest'
import { type RedisSessionOptions, redisSession } from '../../src/session/index.js'
import { eventually } from '../support/eventually.js'
import { createApp, idOf, login, SECRET, useRedis } from './app.js'

const world = useRedis()

/** Reads the session ahead of a gate that lets requests through or not, as a limiter does. */
function gated(options: Partial<RedisSessionOptions> = {}): Express {
  const session = redisSession({ redis: world.redis, secret: SECRET, ...options })
  const app = express()
  app.use(async (req, res, next) => {
    session.prefetch(req)
    await new Promise(setImmediate)
    if (req.query.denied !== undefined) return void res.sendStatus(429)
    session(req, res, next)
  })
  app.get('/', (req: Request, res) => void res.json({ user: req.session?.user ?? null, state: req.sessions.state }))
  app.post('/set/:value', (req: Request, res) => {
    req.session.k1 = req.params.value
    res.json(true)
  })
  return app
}

async function callsDuring(action: () => Promise<unknown>): Promise<string[]> {
  const calls: string[] = []
  const off = world.redis.on('redis.call', ({ operation }) => void calls.push(operation))
  await action()
  off()
  return calls.filter((operation) => operation !== 'session.stats')
}

const app = () => createApp({ redis: world.redis })

describe('a session that is read ahead of its middleware', () => {
  it('is asked for once, and serves reads and writes as otherwise', async () => {
    const cookie = await login(app(), 'ann')
    const calls = await callsDuring(() =>
      request(gated()).get('/').set('Cookie', cookie).expect(200, { user: 'ann', state: 'ready' }),
    )
    expect(calls).toEqual(['session.read'])
    await request(gated()).post('/set/v').set('Cookie', cookie).expect(200)
    const { body } = await request(app()).get('/all').set('Cookie', cookie)
    expect(body).toMatchObject({ user: 'ann', k1: 'v' })
  })

  it('keeps its idle time running where the request is not let through to it', async () => {
    const touching = { redis: world.redis, ttl: 60_000, touchAfter: 0 }
    const cookie = await login(createApp(touching))
    const [key] = await world.server.client().keys(`*{${idOf(cookie).slice(0, 16)}}*`)
    const seen = () => world.server.client().hget(key as string, 'l')
    const before = await seen()
    await request(gated(touching)).get('/?denied').set('Cookie', cookie).expect(429)
    expect(await seen()).toBe(before)
    await request(gated(touching)).get('/').set('Cookie', cookie).expect(200)
    await eventually(async () => (await seen()) !== before, { within: 10_000 })
  })

  it('that does not exist, or whose cookie is forged, is none', async () => {
    const cookie = await login(app())
    await request(app()).post('/logout').set('Cookie', cookie)
    const none = { user: null, state: 'ready' }
    await request(gated()).get('/').set('Cookie', cookie).expect(200, none)
    await request(gated()).get('/').set('Cookie', `${cookie}x`).expect(200, none)
    await request(gated()).get('/').expect(200, none)
  })

  it('is for one use: after a log-out in the same request it is asked for anew', async () => {
    const session = redisSession({ redis: world.redis, secret: SECRET })
    const twice = express()
    twice.use((req, _res, next) => {
      session.prefetch(req)
      next()
    }, session)
    twice.use(async (req, _res, next) => {
      await req.sessions.logout()
      next()
    }, session)
    twice.get('/', (req, res) => void res.json(req.session.user ?? null))
    await request(twice)
      .get('/')
      .set('Cookie', await login(app(), 'ann'))
      .expect(200, 'null')
  })

  it('leaves sessions of elsewhere to the middleware that takes them over', async () => {
    const client = world.server.client()
    await client.set('old:legacy', JSON.stringify({ cookie: {}, user: 'old' }))
    const signed = legacyCookie('legacy')
    const migrating = gated({ migrateFrom: 'old:' })
    await request(migrating).get('/?denied').set('Cookie', signed).expect(429)
    expect(await client.exists('old:legacy')).toBe(1)
    await request(migrating).get('/').set('Cookie', signed).expect(200, { user: 'old', state: 'ready' })
    expect(await client.exists('old:legacy')).toBe(0)
  })
})

function legacyCookie(id: string): string {
  const signature = createHmac('sha256', SECRET).update(id).digest('base64').replace(/=+$/, '')
  return `sid=${encodeURIComponent(`s:${id}.${signature}`)}`
}
