import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import express, { type Express } from 'express'
import express4 from 'express4'
import request from 'supertest'
import { createRedisManager, type RedisManager } from '../../src/redis/index.js'
import {
  type Detector,
  type RequestSecurity,
  type SecurityAlert,
  type SecurityMiddlewareOptions,
  securityLog,
} from '../../src/security/index.js'
import { redisSession } from '../../src/session/index.js'
import { eventually } from '../support/eventually.js'
import { fairNow } from '../support/fair-clock.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { collect } from './support.js'

let server: RedisServer
let count = 0
const cleanUp: (() => unknown)[] = []

beforeAll(async () => {
  server = await startRedis()
})
afterAll(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step()
  await server.stop()
})

const SECRET = 'a secret for tests only'
const VICTIM = '198.51.100.1'
const ATTACKER = '203.0.113.66'

interface World {
  readonly app: Express
  readonly sink: ReturnType<typeof collect>
  readonly alerts: SecurityAlert[]
  readonly redis: RedisManager
  readonly security: ReturnType<typeof securityLog>
  /** Logs in and waits for what detectors make of it. */
  attempt(from: string, password: string, options?: { account?: string; cookie?: string }): Promise<request.Response>
  tick(ms: number): void
}

async function world(options: Partial<SecurityMiddlewareOptions> = {}, keyPrefix = `login${count++}`): Promise<World> {
  let now = Date.now()
  const redis = createRedisManager({ url: server.url, logger: false, keyPrefix, commandTimeout: 2000 })
  await redis.ready()
  const sink = collect()
  const alerts: SecurityAlert[] = []
  const security = securityLog({
    ...{ redis, sink, secret: SECRET, now: () => now, flushInterval: 1 },
    onAlert: (alert) => void alerts.push(alert),
    ...options,
  })
  cleanUp.push(
    () => redis.close(),
    () => security.close(),
  )
  const app = express()
  app.set('trust proxy', 'loopback')
  app.use(security, express.json())
  const guard = security.login({ account: (req) => req.body.email, credential: (req) => req.body.password })
  app.post('/login', guard, (req, res) => {
    if (req.body.password !== 'right') return void res.status(401).json({ error: 'wrong name or password' })
    res.json({ stepUp: req.security.stepUp, known: req.security.knownDevice })
  })
  app.get('/page', (_req, res) => void res.send('page'))
  return {
    ...{ app, sink, alerts, redis, security },
    async attempt(from, password, { account = 'alice@example.test', cookie } = {}) {
      const call = request(app).post('/login').set('X-Forwarded-For', from).send({ email: account, password })
      const response = await (cookie === undefined ? call : call.set('Cookie', cookie))
      await security.flush()
      return response
    },
    tick(ms) {
      now += ms
    },
  }
}

const deviceCookie = (response: request.Response): string => {
  const [cookie = ''] = response.headers['set-cookie'] as unknown as string[]
  return cookie.split(';')[0] ?? ''
}

async function bruteForce(it: World, from = ATTACKER, tries = 12, account?: string): Promise<void> {
  for (let n = 0; n < tries; n++) await it.attempt(from, `guess-${from}-${n}`, account === undefined ? {} : { account })
}

describe('security.login', () => {
  it('records the outcome by the status, with the account as a digest and the password nowhere', async () => {
    const it = await world()
    await it.attempt(ATTACKER, 'hunter2-wrong')
    await it.attempt(VICTIM, 'right')
    expect(it.sink.events.map(({ event, ip, outcome }) => [event, ip, outcome])).toEqual([
      ['authn_login_fail', ATTACKER, 'failure'],
      ['authn_login_success', VICTIM, 'success'],
    ])
    expect(it.sink.events[0]?.account).toBe(it.sink.events[1]?.account)
    expect(it.sink.lines.join()).not.toMatch(/alice|hunter2/)
  })

  it('knows an account however its owner writes the name', async () => {
    const it = await world()
    await it.attempt(VICTIM, 'x', { account: ' Alice@Example.test' })
    await it.attempt(VICTIM, 'x', { account: 'alice@example.TEST ' })
    expect(new Set(it.sink.events.map(({ account }) => account)).size).toBe(1)
  })

  it('does not record twice what the handler records itself, and believes the handler', async () => {
    const it = await world()
    it.app.post('/own', it.security.login({ account: () => 'bob' }), (req, res) => {
      req.security.record('authn_login_fail', { reason: 'unknown_account' })
      res.redirect('/login?failed')
    })
    const response = await request(it.app).post('/own').send({})
    await it.security.flush()
    expect(it.sink.events.map(({ event, reason }) => [event, reason])).toEqual([
      ['authn_login_fail', 'unknown_account'],
    ])
    expect(response.headers['set-cookie']).toBeUndefined()
  })

  it('gives a signed device cookie with a success only, which no other account and no forger can use', async () => {
    const it = await world()
    expect((await it.attempt(VICTIM, 'wrong')).headers['set-cookie']).toBeUndefined()
    const response = await it.attempt(VICTIM, 'right')
    expect(response.headers['set-cookie']?.[0]).toMatch(
      /^device_[\w-]+=[\w.-]+; Path=\/; Max-Age=\d+; HttpOnly; SameSite=Lax$/,
    )
    const cookie = deviceCookie(response)
    expect((await it.attempt(VICTIM, 'right', { cookie })).body.known).toBe(true)
    const forged = cookie.replace(/=(.)/, (_, first) => (first === 'A' ? '=B' : '=A'))
    expect(forged).not.toBe(cookie)
    expect((await it.attempt(VICTIM, 'right', { cookie: forged })).body.known).toBe(false)
    const [, value] = cookie.split('=')
    const bob = deviceCookie(await it.attempt(VICTIM, 'right', { account: 'bob' })).split('=')[0]
    expect((await it.attempt(VICTIM, 'right', { account: 'bob', cookie: `${bob}=${value}` })).body.known).toBe(false)
    it.tick(91 * 86_400_000)
    expect((await it.attempt(VICTIM, 'right', { cookie })).body.known).toBe(false)
  })

  it('keeps the cookies of the handler, and works on Express 4 and with redirects that the handler explains', async () => {
    const it = await world()
    const app = express4().use(it.security as never)
    app.post('/login', it.security.login({ account: () => 'carol' }) as never, (req, res) => {
      ;(req as unknown as { security: RequestSecurity }).security.record('authn_login_success')
      res.cookie('own', '1')
      res.redirect('/home')
    })
    const response = await request(app).post('/login').expect(302)
    expect(response.headers['set-cookie']).toHaveLength(2)
    await it.security.flush()
    expect(it.sink.events.map(({ event }) => event)).toEqual(['authn_login_success'])
  })

  it('takes a redirect that nobody explains for neither', async () => {
    const it = await world()
    it.app.post('/form', it.security.login({ account: () => 'carol' }), (_req, res) => res.redirect('/somewhere'))
    const response = await request(it.app).post('/form').expect(302)
    await it.security.flush()
    expect(response.headers['set-cookie']).toBeUndefined()
    expect(it.sink.events).toEqual([])
  })

  it('lets strange bodies pass to the handler', async () => {
    const it = await world()
    for (const body of [{}, { email: 5 }, { email: '' }, { email: { $ne: '' } }, { email: ['a'] }, []]) {
      await request(it.app).post('/login').send(body).expect(401)
    }
    it.app.post(
      '/throws',
      it.security.login({
        account: () => {
          throw new Error('no body')
        },
      }),
      (_req, res) => void res.sendStatus(204),
    )
    await request(it.app).post('/throws').expect(204)
  })
})

describe('detectors over HTTP', () => {
  it('observe by default: they record, alert, and refuse nothing', async () => {
    const it = await world()
    await bruteForce(it, ATTACKER, 14)
    expect((await it.attempt(ATTACKER, 'right')).status).toBe(200)
    const found = it.sink.events.filter(({ event }) => event === 'authn_login_fail_max')
    expect(found.map(({ details }) => details?.detector)).toContain('bruteForcePair')
    expect(found[0]).toMatchObject({ action: 'observed', confidence: expect.any(String), ip: ATTACKER })
    expect(found[0]?.details).toMatchObject({ would: 'blockLogin' })
    await eventually(() => it.alerts.some(({ detector }) => detector === 'bruteForcePair'))
    expect(it.alerts.every(({ enforced }) => !enforced)).toBe(true)
  })

  it('refuse the pair of account and address once enforced, before the password is looked at', async () => {
    const it = await world({ enforce: ['bruteForcePair'] })
    await bruteForce(it, ATTACKER, 10)
    const refused = await it.attempt(ATTACKER, 'right')
    expect(refused.status).toBe(429)
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(800)
    expect(refused.body).toEqual({ type: 'about:blank', title: 'Too Many Requests', status: 429 })
    expect((await it.attempt(ATTACKER, 'right', { account: 'bob' })).status).toBe(200)
    expect((await request(it.app).get('/page').set('X-Forwarded-For', ATTACKER)).status).toBe(200)
  })

  it('do not count the same wrong password again and again', async () => {
    const it = await world({ enforce: ['bruteForcePair'] })
    for (let n = 0; n < 30; n++) await it.attempt(VICTIM, 'the old password')
    expect((await it.attempt(VICTIM, 'right')).status).toBe(200)
  })

  it('start anew after a success', async () => {
    const it = await world({ enforce: ['bruteForcePair'] })
    for (let round = 0; round < 3; round++) {
      for (let n = 0; n < 8; n++) await it.attempt(VICTIM, `typo-${round}-${n}`)
      expect((await it.attempt(VICTIM, 'right')).status).toBe(200)
    }
  })

  it('are told about by one alert per subject and cooldown, over all processes', async () => {
    const one = await world({}, 'fleet')
    const two = await world({}, 'fleet')
    for (let n = 0; n < 12; n++) {
      await one.attempt(ATTACKER, `a${n}`)
      await two.attempt(ATTACKER, `b${n}`)
    }
    await eventually(() => one.alerts.length + two.alerts.length > 0)
    const pairs = [...one.alerts, ...two.alerts].filter(({ detector }) => detector === 'bruteForcePair')
    expect(pairs).toHaveLength(1)
  })

  it('spread a block to every process, and lift it in every process', async () => {
    const one = await world({ enforce: ['bruteForcePair'] }, 'spread')
    const two = await world({ enforce: ['bruteForcePair'] }, 'spread')
    await bruteForce(one, ATTACKER, 10)
    await eventually(async () => (await two.attempt(ATTACKER, 'right')).status === 429)
    const late = await world({ enforce: ['bruteForcePair'] }, 'spread')
    await eventually(async () => (await late.attempt(ATTACKER, 'right')).status === 429)
    const [subject] = [...one.alerts].map((alert) => alert.subject)
    expect(await two.security.lift(subject as never)).toBe(true)
    await eventually(async () => (await one.attempt(ATTACKER, 'right')).status === 200)
    await eventually(() => late.security.restrictions().size === 0)
  })

  it('block scanners for the whole site, and honeypots at the first touch, but never who is on the allow list', async () => {
    const it = await world({
      enforce: ['honeypot', 'pathScanning', 'sensitivePaths'],
      honeypots: ['/old-admin'],
      allow: ['192.0.2.0/24'],
    })
    const get = async (path: string, from: string) => {
      const { status } = await request(it.app).get(path).set('X-Forwarded-For', from)
      await it.security.flush()
      return status
    }
    await get('/Old-Admin/?x=1', ATTACKER)
    expect(await get('/page', ATTACKER)).toBe(429)
    for (let n = 0; n < 12; n++) await get(`/nothing-${n}`, '203.0.113.5')
    expect(await get('/page', '203.0.113.5')).toBe(429)
    for (const path of ['/.env', '/.git/config', '/wp-login.php']) await get(path, '203.0.113.7')
    expect(await get('/page', '203.0.113.7')).toBe(429)
    for (const path of ['/.env', '/.git/config', '/wp-login.php', '/old-admin']) await get(path, '192.0.2.4')
    expect(await get('/page', '192.0.2.4')).toBe(200)
    expect(await get('/page', VICTIM)).toBe(200)
  })

  it('are not fooled by a forged X-Forwarded-For into blocking somebody else', async () => {
    const it = await world({ enforce: ['honeypot'], honeypots: ['/old-admin'] })
    it.app.set('trust proxy', false)
    await request(it.app).get('/old-admin').set('X-Forwarded-For', VICTIM)
    await it.security.flush()
    it.app.set('trust proxy', 'loopback')
    expect((await request(it.app).get('/page').set('X-Forwarded-For', VICTIM)).status).toBe(200)
  })

  it('end the sessions of a hijack through the application', async () => {
    const revoked: unknown[] = []
    const it = await world({ enforce: ['tokenReuse'], onRevoke: (revocation) => void revoked.push(revocation) })
    it.redis.emit('session.destroyed', { session: 'hash', userId: 'u1', reason: 'reuse' })
    await it.security.flush()
    await eventually(() => revoked.length === 1)
    expect(revoked).toEqual([{ detector: 'tokenReuse', userId: 'u1', session: 'hash' }])
  })

  it('tell somebody who tries session cookies from a browser with a stale one', async () => {
    const it = await world()
    const sessions = redisSession({ redis: it.redis, secret: 'a session secret for tests only' })
    it.app.get('/session', sessions, (_req, res) => void res.send('here'))
    const visit = (value: string, from: string) =>
      request(it.app).get('/session').set('X-Forwarded-For', from).set('Cookie', `sid=s%3A${value}.signature`)
    const found = () => it.sink.events.filter(({ details }) => details?.detector === 'sessionGuessing')
    for (let n = 0; n < 15; n++) await visit('stale', VICTIM)
    await it.security.flush()
    expect(it.sink.events.filter(({ event }) => event === 'holdfast.session_rejected')).toHaveLength(15)
    expect(found()).toEqual([])
    for (let n = 0; n < 15; n++) await visit(`guess${n}`, ATTACKER)
    await it.security.flush()
    expect(found().map(({ ip }) => ip)).toEqual([ATTACKER])
  })

  it('notice a session in two browsers', async () => {
    const it = await world()
    it.app.get('/me', (req, res) => {
      Object.assign(req, { session: { userId: 'u1' }, sessionID: 'one-session' })
      res.send('me')
    })
    const visit = async (agent: string, from: string) => {
      await request(it.app).get('/me').set('User-Agent', agent).set('X-Forwarded-For', from)
      await it.security.flush()
    }
    await visit('Mozilla/5.0 (iPhone) Version/17 Safari/605', '198.51.100.1')
    await visit('Mozilla/5.0 (iPhone) Version/18 Safari/605', '203.0.113.9')
    expect(it.sink.events.filter(({ details }) => details?.detector === 'sessionHijack')).toEqual([])
    await visit('Mozilla/5.0 (X11; Linux) Firefox/120', '203.0.113.10')
    const [found] = it.sink.events.filter(({ details }) => details?.detector === 'sessionHijack')
    expect(found?.details?.because).toContain('another browser or system')
    expect(found?.userId).toBe('u1')
  })

  it('ask for a second factor after a guess that was right', async () => {
    const it = await world({ enforce: ['successAfterFailures'] })
    for (let n = 0; n < 6; n++) await it.attempt(ATTACKER, `guess-${n}`)
    await it.attempt(ATTACKER, 'right')
    expect((await it.attempt(ATTACKER, 'right')).body.stepUp).toBe(true)
    expect(it.sink.events.map(({ event }) => event)).toContain('authn_login_successafterfail')
  })

  it('ask for it also while the account is slowed down', async () => {
    const it = await world({
      enforce: ['successAfterFailures', 'bruteForceAccount'],
      detectors: { bruteForceAccount: { threshold: 3 } },
    })
    for (let n = 0; n < 6; n++) {
      void request(it.app)
        .post('/login')
        .set('X-Forwarded-For', ATTACKER)
        .send({ email: 'alice@example.test', password: `g${n}` })
        .then(() => {})
    }
    await eventually(() => it.sink.events.filter(({ event }) => event === 'authn_login_fail').length === 6, {
      within: 10_000,
    })
    await it.attempt(ATTACKER, 'right')
    expect([...it.security.restrictions().values()].map(({ action }) => action).sort()).toEqual(['delay', 'stepUp'])
    expect((await it.attempt('203.0.113.200', 'right')).body.stepUp).toBe(true)
  })

  it('go on without Redis: the same attack is refused by this process alone', async () => {
    const redis = createRedisManager({ env: {}, logger: false })
    const it = await world({ redis, enforce: ['bruteForcePair'] })
    await bruteForce(it, ATTACKER, 10)
    expect((await it.attempt(ATTACKER, 'right')).status).toBe(429)
    await it.security.close()
    await redis.close()
  })

  it('take detectors of your own by the same interface, and survive those that throw', async () => {
    const ownDetectors: Detector[] = [
      {
        ...{ name: 'threeRefunds', event: 'shop.refunds', confidence: 'low', action: 'observe' },
        ...{ window: 60_000, threshold: 3, cooldown: 60_000 },
        measure: ({ type, userId = '', id }) =>
          type === 'shop.refund' ? [{ op: 'add', key: `refund:${userId}`, member: id, window: 60_000 }] : [],
        judge: ({ userId = '' }, [refunds]) =>
          refunds !== undefined && refunds.count >= 3 ? { subject: { kind: 'user', userId }, count: 3 } : undefined,
      },
      {
        ...{ name: 'broken', event: 'shop.broken', confidence: 'low', action: 'observe' },
        ...{ window: 1, threshold: 1, cooldown: 1 },
        measure: () => {
          throw new Error('broken')
        },
        judge: () => undefined,
      },
    ]
    const it = await world({
      ownDetectors,
      events: { 'shop.refund': 'info', 'shop.refunds': 'warn' },
    } as never)
    for (let n = 0; n < 3; n++) it.security.record('shop.refund' as never, { userId: 'u1' })
    await it.security.flush()
    expect(it.sink.events.at(-1)).toMatchObject({ event: 'shop.refunds', userId: 'u1', details: { count: 3 } })
  })

  it('are refused as an option where they do not exist', async () => {
    const redis = createRedisManager({ env: {}, logger: false })
    expect(() => securityLog({ redis, enforce: ['brute'] })).toThrow(
      /"enforce" names a detector that does not run: "brute"/,
    )
    expect(() => securityLog({ redis, enforce: ['newDevice'], detectors: { newDevice: false } })).toThrow(/enforce/)
    expect(() => securityLog({ redis, detectors: { brute: {} } as never })).toThrow(/"detectors" must be false, or/)
    expect(() => securityLog({ redis, allow: ['10.0.0.0/99'] })).toThrow(/"allow"/)
    expect(() => securityLog({ redis, webhook: { url: 'ftp://x', secret: SECRET } })).toThrow(
      /"webhook" .* got \[secret\]/,
    )
    await redis.close()
  })
})

describe('an attacker who knows the e-mail cannot lock its owner out', () => {
  const everything = [
    ...['bruteForcePair', 'bruteForceAddress', 'bruteForceAddressSlow', 'bruteForceAccount', 'passwordSpraying'],
    ...['credentialStuffing', 'successAfterFailures'],
  ]

  it('from one address: the owner elsewhere logs in, with or without a known device', async () => {
    const it = await world({ enforce: everything })
    const cookie = deviceCookie(await it.attempt(VICTIM, 'right'))
    await bruteForce(it, ATTACKER, 40)
    expect((await it.attempt(ATTACKER, 'right')).status).toBe(429)
    expect((await it.attempt(VICTIM, 'right', { cookie })).status).toBe(200)
    expect((await it.attempt('198.51.100.200', 'right')).status).toBe(200)
  })

  it('from the very address of its owner, behind one NAT: the known device still gets in', async () => {
    const it = await world({ enforce: everything })
    const cookie = deviceCookie(await it.attempt(VICTIM, 'right'))
    await bruteForce(it, VICTIM, 40)
    expect((await it.attempt(VICTIM, 'guess')).status).toBe(429)
    const owner = await it.attempt(VICTIM, 'right', { cookie })
    expect([owner.status, owner.body]).toEqual([200, { stepUp: false, known: true }])
  })

  it('from a hundred addresses: the owner is never refused, and a known device is not even slowed down', async () => {
    const it = await world({ enforce: everything })
    const cookie = deviceCookie(await it.attempt(VICTIM, 'right'))
    for (let n = 0; n < 40; n++) {
      void request(it.app)
        .post('/login')
        .set('X-Forwarded-For', `203.0.${n}.7`)
        .send({ email: 'alice@example.test', password: `guess-${n}` })
        .then(() => {})
    }
    await eventually(() => it.sink.events.some(({ details }) => details?.detector === 'bruteForceAccount'), {
      within: 10_000,
    })
    const started = fairNow()
    expect((await it.attempt(VICTIM, 'right', { cookie })).status).toBe(200)
    expect(fairNow() - started).toBeLessThan(900)
    const stranger = performance.now()
    expect((await it.attempt('198.51.100.201', 'right')).status).toBe(200)
    expect(performance.now() - stranger).toBeGreaterThan(900)
  })

  it('by guessing on during a block: it ends when it was to end', async () => {
    const it = await world({ enforce: ['bruteForcePair'] })
    await bruteForce(it, ATTACKER, 10)
    for (let minute = 0; minute < 15; minute++) {
      expect((await it.attempt(ATTACKER, `more-${minute}`)).status).toBe(429)
      it.tick(60_000)
    }
    expect((await it.attempt(ATTACKER, 'right')).status).toBe(200)
  })

  it('but each further block within a day lasts twice as long, up to a day', async () => {
    const it = await world({
      enforce: ['bruteForcePair'],
      detectors: { bruteForcePair: { threshold: 2, cooldown: '1s' } },
    })
    const lasted: number[] = []
    for (let round = 0; round < 9; round++) {
      for (let n = 0; n < 3; n++) await it.attempt(ATTACKER, `r${round}-${n}`)
      const refused = await it.attempt(ATTACKER, 'x')
      const seconds = Number(refused.headers['retry-after'])
      lasted.push(seconds / 60)
      it.tick(seconds * 1000 + 1000)
    }
    expect(lasted).toEqual([15, 30, 60, 120, 240, 480, 960, 1440, 1440])
  })

  it('by stealing a device cookie for one account: that device alone is stopped', async () => {
    const it = await world({ enforce: everything })
    const stolen = deviceCookie(await it.attempt(VICTIM, 'right'))
    const other = deviceCookie(await it.attempt('198.51.100.77', 'right'))
    for (let n = 0; n < 12; n++) await it.attempt(ATTACKER, `guess-${n}`, { cookie: stolen })
    expect((await it.attempt(ATTACKER, 'right', { cookie: stolen })).status).toBe(429)
    expect((await it.attempt(VICTIM, 'right', { cookie: other })).status).toBe(200)
  })

  it('and learns nothing: the answers for a real, an unknown and a locked account are the same', async () => {
    const it = await world({ enforce: ['bruteForcePair'] })
    const answers = []
    for (const account of ['alice@example.test', 'nobody@example.test']) {
      await bruteForce(it, ATTACKER, 10, account)
      const { status, headers, text } = await it.attempt(ATTACKER, 'x', { account })
      answers.push([status, headers['content-type'], headers['cache-control'], text])
    }
    expect(answers[0]).toEqual(answers[1])
  })
})
