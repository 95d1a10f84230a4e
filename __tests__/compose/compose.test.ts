import { type AddressInfo, connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from '@jest/globals'
import express, { type ErrorRequestHandler, type RequestHandler } from 'express'
import request from 'supertest'
import { compose } from '../../src/compose/index.js'
import { useRedis } from '../rate-limit/support.js'
import { cookieOf } from '../session/app.js'
import { eventually } from '../support/eventually.js'
import { startProxy } from '../support/proxy.js'
import { FORMS, type Stack, type StackOptions, stackOf } from './apps.js'

const world = useRedis()

async function loggedIn({ app }: Stack): Promise<string> {
  return cookieOf(await request(app).post('/login/ann').expect(200))
}

/** What Redis is asked from now on. */
async function listenIn(): Promise<{ text(): string; stop(): void }> {
  const monitor = await world.client().duplicate().monitor()
  const lines: string[] = []
  monitor.on('monitor', (_time: string, args: string[]) => void lines.push(args.join(' ')))
  return { text: () => lines.join('\n'), stop: () => monitor.disconnect() }
}

async function sessionRecord(): Promise<Record<string, string>> {
  const keys = (await world.client().keys('*session*')).filter((key) => !/index|statistics|generation/.test(key))
  for (const key of keys) {
    if ((await world.client().type(key)) !== 'hash') continue
    const record = await world.client().hgetall(key)
    if (record.v !== undefined) return record
  }
  throw new Error('no session is stored')
}

describe('composed middlewares', () => {
  it('ask Redis all at once: every question has arrived before the first reply is back', async () => {
    const proxy = await startProxy(world.server.port)
    const redis = await world.connect({ url: proxy.url, commandTimeout: '60s' })
    const stack = stackOf({ redis, form: 'composed' })
    const cookie = await loggedIn(stack)
    const ask = () => request(stack.app).get('/?say=public').set('Cookie', cookie)
    await ask().expect('X-Cache', 'MISS')
    await eventually(() => ask().expect('X-Cache', 'HIT'), { within: 10_000 })

    const heard = await listenIn()
    proxy.latency(3000)
    let answered = false
    const answer = ask().then((response) => {
      answered = true
      return response
    })
    await eventually(() => ['rate:', 'session:', 'responses:'].every((part) => heard.text().includes(part)), {
      within: 2500,
    })
    expect(answered).toBe(false)
    proxy.pass()
    expect((await answer).headers['x-cache']).toBe('HIT')
    heard.stop()
    await proxy.stop()
  })

  it.each(FORMS)('%s: a denied request answers 429 and leaves its session as it was', async (form) => {
    await world.client().flushall()
    const stack = stackOf({ redis: world.redis, form, limit: { limit: 2 }, session: { touchAfter: 0 } })
    const cookie = await loggedIn(stack)
    const ask = async (status: number): Promise<void> => {
      await sleep(5)
      await request(stack.app).post('/').set('Cookie', cookie).expect(status)
    }
    await ask(200)
    await ask(200)
    await eventually(async () => {
      const { l = '' } = await sessionRecord()
      await sleep(50)
      return (await sessionRecord()).l === l
    })
    const before = await sessionRecord()
    for (let i = 0; i < 3; i++) await ask(429)
    await sleep(50)
    expect(await sessionRecord()).toEqual(before)
    expect(JSON.parse(before.d as string)).toMatchObject({ user: 'ann', visits: 2 })
  })

  it('keeps the session of a request alive that is let through', async () => {
    await world.client().flushall()
    const stack = stackOf({ redis: world.redis, form: 'composed', session: { touchAfter: 0 } })
    const cookie = await loggedIn(stack)
    const before = Number((await sessionRecord()).l)
    await sleep(5)
    await request(stack.app).get('/').set('Cookie', cookie).expect(200)
    await eventually(async () => Number((await sessionRecord()).l) > before, { within: 10_000 })
  })

  it('counts a cache hit against the limit', async () => {
    const { app, runs } = stackOf({ redis: world.redis, form: 'composed', limit: { limit: 3 } })
    await request(app).get('/').expect(200).expect('X-Cache', 'MISS')
    await eventually(() => request(app).get('/').expect('X-Cache', 'HIT'))
    await request(app)
      .get('/')
      .expect((res) => expect([200, 429]).toContain(res.status))
    await request(app).get('/').expect(429)
    expect(runs()).toBe(1)
  })

  it('lets a key of the cache that depends on the session wait for it', async () => {
    const key = (req: { session?: { user?: string } }): string => req.session?.user ?? 'nobody'
    const stack = stackOf({ redis: world.redis, form: 'composed', cache: { key: key as never } })
    const [ann, bob] = await Promise.all(
      ['ann', 'bob'].map(async (user) => cookieOf(await request(stack.app).post(`/login/${user}`))),
    )
    for (const [cookie, user] of [
      [ann, 'ann'],
      [bob, 'bob'],
      [ann, 'ann'],
    ] as const) {
      const { body } = await request(stack.app)
        .get('/')
        .set('Cookie', cookie as string)
        .expect(200)
      expect(body.user).toBe(user)
    }
    expect(stack.runs()).toBe(2)
  })

  it.each(FORMS)('%s: counts by the session’s user where the limiter stands behind the session', async (form) => {
    const stack = stackOf({
      ...{ redis: world.redis, form, order: ['session', 'limit', 'cache'] },
      limit: { limit: 1, user: (req) => req.session?.user },
    })
    const [ann, bob] = await Promise.all(
      ['ann', 'bob'].map(async (user) => cookieOf(await request(stack.app).post(`/login/${user}`))),
    )
    const statuses: number[] = []
    for (const cookie of [ann, bob, ann, bob]) {
      statuses.push(
        (
          await request(stack.app)
            .get('/')
            .set('Cookie', cookie as string)
        ).status,
      )
    }
    expect(statuses).toEqual([200, 200, 429, 429])
  })

  it('allows exactly as many of 100 parallel requests as the limit says', async () => {
    const stack = stackOf({ redis: world.redis, form: 'composed', limit: { limit: 10 } })
    const cookie = await loggedIn(stack)
    const server = stack.app.listen(0)
    const statuses = await Promise.all(
      Array.from({ length: 100 }, async (_, i) => {
        const response = await request(server).get(`/?n=${i}`).set('Cookie', cookie)
        return response.status
      }),
    )
    server.close()
    expect(statuses.filter((status) => status === 200)).toHaveLength(10)
    expect(statuses.filter((status) => status === 429)).toHaveLength(90)
  })

  it('begins nothing behind a middleware of another make before that has let the request pass', async () => {
    const swap: RequestHandler = async (req, _res, next) => {
      await sleep(20)
      req.headers.cookie = req.get('x-cookie') as string
      next()
    }
    const { limit, session, cache, app } = stackOf({ redis: world.redis, form: 'mounted' })
    const [ann, bob] = await Promise.all(
      ['ann', 'bob'].map(async (user) => cookieOf(await request(app).post(`/login/${user}`)) as string),
    )
    const other = express()
      .use(compose(limit, swap, session, cache))
      .get('/', (req, res) => void res.json(req.session.user))
    await request(other)
      .get('/')
      .set({ Cookie: ann as string, 'X-Cookie': bob as string })
      .expect(200, '"bob"')
  })

  it('gives a session that the request has ended to nobody, should the request meet its middleware again', async () => {
    const { limit, session, app } = stackOf({ redis: world.redis, form: 'mounted' })
    for (const form of FORMS) {
      const cookie = cookieOf(await request(app).post('/login/ann').expect(200))
      const other = express()
        .use(form === 'composed' ? compose(limit, session) : [limit, session])
        .use((req, _res, next) => req.session.destroy(next))
        .use(session)
        .get('/', (req, res) => void res.json(req.session.user ?? null))
      await request(other).get('/').set('Cookie', cookie).expect(200, 'null')
    }
  })

  it('gives the point back where the client has gone before the session answered', async () => {
    const { limit } = stackOf({ redis: world.redis, form: 'mounted', limit: { user: false } })
    let arrived = false
    let gone = false
    const session: RequestHandler = (_req, res) => {
      arrived = true
      res.once('close', () => {
        gone = true
        res.status(503).end()
      })
    }
    const app = express().use(compose(Object.assign(session, { prefetch: () => {}, sessions: {} }), limit))
    const server = app.listen(0)
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1', () => {
      socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    })
    await eventually(() => arrived, { within: 10_000 })
    const used = async () => (await limit.peek({ address: '127.0.0.1' })).tightest.used
    await eventually(async () => (await used()) === 1, { within: 10_000 })
    socket.destroy()
    await eventually(() => gone, { within: 10_000 })
    await eventually(async () => (await used()) === 0, { within: 10_000 })
    server.close()
  })

  it('takes apart what is composed again', async () => {
    const { limit, session, cache } = stackOf({ redis: world.redis, form: 'mounted' })
    const app = express()
      .use(compose(compose(limit, session), cache))
      .get('/', (req, res) => void res.json({ session: req.session !== undefined, limit: req.rateLimit?.limit }))
    await request(app).get('/').expect(200, { session: true, limit: 1000 }).expect('X-Cache', 'MISS')
  })
})

const faults: readonly (readonly [name: string, middleware: RequestHandler])[] = [
  [
    'throws',
    () => {
      throw new Error('thrown')
    },
  ],
  ['rejects', () => Promise.reject(new Error('rejected'))],
  ['rejects with nothing', () => Promise.reject()],
  [
    'throws later',
    async () => {
      await sleep(1)
      throw new Error('late')
    },
  ],
  ['calls next with an error', (_req, _res, next) => next(new Error('next'))],
  ['leaves the route', (_req, _res, next) => next('route')],
  ['answers', (_req, res) => void res.status(418).send('teapot')],
  [
    'passes twice',
    (_req, _res, next) => {
      next()
      next()
    },
  ],
]

describe.each(faults)('a middleware that %s', (_name, middleware) => {
  it.each(['first', 'last'] as const)('has the same effect composed as mounted, %s', async (place) => {
    const answers: unknown[] = []
    for (const form of FORMS) {
      const { limit, session } = stackOf({ redis: world.redis, form })
      const list = place === 'first' ? [middleware, session] : [limit, session, middleware]
      const app = express().set('env', 'test')
      const middlewares = form === 'composed' ? [compose(...list)] : list
      app.get('/', ...middlewares, (_req, res) => void (res.headersSent || res.send('handler')))
      app.get('/', (_req, res) => void res.send('the next route'))
      const sayWhat: ErrorRequestHandler = (error, _req, res, _next) => void res.status(500).send(error.message)
      app.use(sayWhat)
      const { status, text } = await request(app).get('/')
      answers.push({ status, text })
    }
    expect(answers[1]).toEqual(answers[0])
  })
})

describe('compose', () => {
  it.each([
    ['nothing', [], 'must be at least one'],
    ['what is no function', [{}], 'got an object'],
    ['an error handler', [(_a: unknown, _b: unknown, _c: unknown, _d: unknown) => {}], 'got an error handler'],
  ])('refuses %s', (_name, given, message) => {
    expect(() => compose(...(given as never[]))).toThrow(message)
  })

  it('works on Express 4', async () => {
    const options: StackOptions = { redis: world.redis, form: 'composed', version: 4 }
    const stack = stackOf(options)
    const cookie = await loggedIn(stack)
    const { body } = await request(stack.app).get('/?x=1').set('Cookie', cookie).expect(200)
    expect(body).toMatchObject({ user: 'ann', state: 'ready' })
  })
})
