import { expect, it } from '@jest/globals'
import type { Express } from 'express'
import request from 'supertest'
import { createApp } from '../../examples/05-security-log/app.js'
import type { RedisManager, SecurityAlert } from '../../src/index.js'
import { eventually } from '../support/eventually.js'
import { useRedis } from '../support/use-redis.js'

let redis: RedisManager
let app: Express
const alerts: SecurityAlert[] = []

useRedis((own) => {
  redis = own.redis
  app = createApp(redis, {
    secret: 'a secret for tests only',
    signingKey: 'a signing key for tests only, of 32 characters',
    onAlert: (alert) => void alerts.push(alert),
    sink: () => {},
  })
})

const logIn = (from: string, email: unknown, password: unknown, cookie = '') =>
  request(app).post('/login').set('X-Forwarded-For', from).set('Cookie', cookie).send({ email, password })

it('lets guessing run into a wall, and the owner in', async () => {
  const first = await logIn('192.0.2.1', 'ann@example.test', 'correct horse').expect(200)
  const [cookie = ''] = first.headers['set-cookie'] as unknown as string[]
  expect(first.body).toEqual({ secondFactor: false, knownDevice: false })
  await eventually(async () => {
    const { status } = await logIn('203.0.113.9', 'ann@example.test', `guess ${Math.random()}`)
    return status === 429
  })
  await logIn('203.0.113.9', 'ann@example.test', 'correct horse').expect(429)
  await logIn('203.0.113.9', 'bob@example.test', 'battery staple').expect(200)
  const owner = await logIn('203.0.113.9', 'ann@example.test', 'correct horse', cookie.split(';')[0]).expect(200)
  expect(owner.body.knownDevice).toBe(true)
  await eventually(() => alerts.some(({ detector, enforced }) => detector === 'bruteForcePair' && enforced))
  expect((await request(app).get('/restrictions')).body).toHaveLength(1)
})

it('answers the same for accounts that do not exist and for bodies that are none', async () => {
  const wrong = await logIn('192.0.2.2', 'bob@example.test', 'x').expect(401)
  for (const [email, password] of [
    ['nobody@example.test', 'x'],
    ['nobody@example.test', 'no password at all'],
    [{ $ne: '' }, 'x'],
    ['bob@example.test', { $ne: '' }],
    ['bob@example.test', 'battery staple and more'],
    [undefined, undefined],
  ]) {
    expect((await logIn('192.0.2.2', email, password).expect(401)).body).toEqual(wrong.body)
  }
})

it('stops a scanner at the honeypot', async () => {
  await request(app).get('/wp-login.php').set('X-Forwarded-For', '203.0.113.50').expect(404)
  await eventually(async () => (await request(app).get('/audit').set('X-Forwarded-For', '203.0.113.50')).status === 429)
})

it('keeps an audit trail that can be read, exported and verified', async () => {
  await request(app)
    .post('/transfers')
    .send({ from: 'ann', to: 'bob', amount: 12, card: '4111111111111111' })
    .expect(202)
  await eventually(async () => (await request(app).get('/audit')).text.includes('example.transfer'))
  const csv = await request(app).get('/audit.csv').expect(200)
  expect(csv.text).toMatch(/^id,ts,app,/)
  expect(csv.text).not.toMatch(/4111|ann@example|correct horse/)
  expect((await request(app).get('/audit/verification')).body).toMatchObject({ ok: true, altered: [], missing: [] })
})
