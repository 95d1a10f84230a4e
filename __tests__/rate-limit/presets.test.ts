import { describe, expect, it } from '@jest/globals'
import express, { type RequestHandler } from 'express'
import request from 'supertest'
import { presets } from '../../src/rate-limit/index.js'
import { createRedisManager } from '../../src/redis/index.js'
import { aNewName, eventually, useRedis } from './support.js'

const world = useRedis()
const ok: RequestHandler = (_req, res) => void res.send('ok')
const from = (address: string) => ({ 'X-Forwarded-For': address })

function loginApp(redis = world.redis) {
  const limit = presets.auth({ redis, name: aNewName(), account: (req) => req.body?.email })
  const app = express().set('trust proxy', 1).use(express.json())
  app.post('/login', limit, (req, res) => void res.sendStatus(req.body.password === 'right' ? 204 : 401))
  const login = async (address: string, email: unknown, password = 'wrong') =>
    (await request(app).post('/login').set(from(address)).send({ email, password })).status
  return { app, login, limit }
}

describe('presets.auth', () => {
  it('lets five failures from one address against one account pass, and counts no success', async () => {
    const { login } = loginApp()
    for (let i = 0; i < 7; i++) expect(await login('192.0.2.1', 'ada@example.com', 'right')).toBe(204)
    for (let i = 0; i < 5; i++) expect(await login('192.0.2.1', 'ada@example.com')).toBe(401)
    expect(await login('192.0.2.1', 'ada@example.com')).toBe(429)
    expect(await login('192.0.2.1', ' ADA@example.com')).toBe(429)
    expect(await login('192.0.2.1', 'bob@example.com')).toBe(401)
  })

  it('does not let an attacker lock the owner out', async () => {
    const { login } = loginApp()
    for (let i = 0; i < 8; i++) await login('203.0.113.1', 'ada@example.com')
    expect(await login('203.0.113.1', 'ada@example.com', 'right')).toBe(429)
    expect(await login('192.0.2.1', 'ada@example.com', 'right')).toBe(204)
  })

  it('stops guesses at one account from many addresses', async () => {
    const { login, limit } = loginApp()
    for (let i = 0; i < 50; i++) expect(await login(`198.51.100.${i}`, 'ada@example.com')).toBe(401)
    expect(await login('198.51.100.200', 'ada@example.com')).toBe(429)
    expect(await login('198.51.100.200', 'bob@example.com')).toBe(401)
    await limit.account.reset({ key: 'ada@example.com' })
    expect(await login('198.51.100.201', 'ada@example.com', 'right')).toBe(204)
  })

  it('tells nothing about attempts, other than when to come back', async () => {
    const { app } = loginApp()
    for (let i = 0; i < 6; i++) {
      const { headers, status } = await request(app).post('/login').send({ email: 'ada@example.com' })
      expect(Object.keys(headers).filter((name) => name.includes('ratelimit'))).toEqual([])
      expect(headers['retry-after'] !== undefined).toBe(status === 429)
    }
  })

  it.each([[undefined], [''], [{ $ne: '' }], [['ada']]])(
    'counts by address where the account is %p',
    async (account) => {
      const { login } = loginApp()
      for (let i = 0; i < 5; i++) expect(await login('192.0.2.1', account)).toBe(401)
      expect(await login('192.0.2.1', account)).toBe(429)
      expect(await login('192.0.2.2', account)).toBe(401)
    },
  )

  it('goes on counting in memory while Redis is away', async () => {
    const redis = createRedisManager({ url: 'redis://127.0.0.1:1', logger: false })
    const { login } = loginApp(redis)
    for (let i = 0; i < 5; i++) expect(await login('192.0.2.1', 'ada@example.com')).toBe(401)
    expect(await login('192.0.2.1', 'ada@example.com')).toBe(429)
    await redis.close()
  })
})

describe('presets.api, burst and sensitive', () => {
  it('are rateLimit with other defaults', async () => {
    const app = express()
      .use('/api', presets.api({ redis: world.redis, name: aNewName() }), ok)
      .use('/burst', presets.burst({ redis: world.redis, name: aNewName() }), ok)
      .use('/sensitive', presets.sensitive({ redis: world.redis, name: aNewName() }), ok)
    const policyOf = async (path: string) => (await request(app).get(path).expect(200)).headers['ratelimit-policy']
    expect(await policyOf('/api')).toBe('"burst";q=20;w=1, "sustained";q=600;w=60')
    expect(await policyOf('/burst')).toBe('"burst";q=10;w=1')
    expect(await policyOf('/sensitive')).toBe('"short";q=5;w=600, "daily";q=20;w=86400')
  })

  it('take overrides', async () => {
    const name = aNewName()
    const app = express().use(presets.api({ redis: world.redis, name, limit: 1, window: '1m' }), ok)
    const { headers } = await request(app).get('/').expect(200)
    expect(headers['ratelimit-policy']).toBe(`"${name}";q=1;w=60`)
    await request(app).get('/').expect(429)
  })

  it('sensitive blocks, and goes on counting while Redis is away', async () => {
    const app = express().use(presets.sensitive({ redis: world.redis, name: aNewName() }), ok)
    for (let i = 0; i < 5; i++) await request(app).get('/').expect(200)
    const { body } = await request(app).get('/').expect(429)
    expect(body.type).toMatch(/#abnormal-usage-detected$/)
    const redis = createRedisManager({ url: 'redis://127.0.0.1:1', logger: false })
    const away = express().use(presets.sensitive({ redis }), ok)
    for (let i = 0; i < 5; i++) await request(away).get('/').expect(200)
    await request(away).get('/').expect(429)
    await redis.close()
    await eventually(() => redis.state === 'closed')
  })
})
