import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { RedisStore } from 'connect-redis'
import express, { type RequestHandler } from 'express'
import expressSession from 'express-session'
import fc from 'fast-check'
import { Redis } from 'ioredis'
import request from 'supertest'
import { createRedisManager, type RedisManager } from '../../src/redis/index.js'
import { redisSession } from '../../src/session/index.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { SECRET } from './app.js'

let server: RedisServer
let redis: RedisManager
let client: Redis
beforeAll(async () => {
  server = await startRedis()
  redis = createRedisManager({ url: server.url, logger: false, commandTimeout: 5000 })
  client = new Redis(server.url)
  await redis.ready()
})
afterAll(async () => {
  client.disconnect()
  await redis.close()
  await server.stop()
})

type Options = Omit<expressSession.SessionOptions, 'store' | 'secret' | 'genid'>
/** Gives the text of what went wrong. */
type Step = (req: express.Request, res: express.Response) => unknown
type Call = (done: (error?: unknown) => void) => unknown

const outcome = (call: Call) =>
  new Promise<string | undefined>((resolve) => {
    call((error) => resolve(error instanceof Error ? error.message : undefined))
  })

/** What a handler may do with a session and a response, in any order. Without a session, none of it. */
const steps: Readonly<Record<string, Step>> = {
  read: ({ session }) => session.visits,
  set: ({ session }) => Object.assign(session, { visits: (session.visits ?? 0) + 1 }),
  same: ({ session }) => Object.assign(session, { visits: session.visits }),
  deep: ({ session }) => {
    session.k1 ??= []
    ;(session.k1 as unknown[]).push(1)
  },
  remove: ({ session }) => Object.assign(session, { k1: undefined }),
  touch: ({ session }) => void session.touch(),
  // With a change of the data: a new age alone express-session tells Redis, but does not store.
  age: ({ session }) => {
    session.cookie.maxAge = 7_200_000
    session.visits = (session.visits ?? 0) + 1
  },
  ageless: ({ session }) => {
    Object.assign(session.cookie, { maxAge: null })
    session.visits = (session.visits ?? 0) + 1
  },
  save: ({ session }) => outcome((done) => session.save(done)),
  reload: ({ session }) => outcome((done) => session.reload(done)),
  regenerate: ({ session }) => outcome((done) => session.regenerate(done)),
  destroy: ({ session }) => outcome((done) => session.destroy(done)),
  drop: (req) => void Object.assign(req, { session: null }),
  write: (_, res) => void (res.hasHeader('Content-Length') || res.write('written ')),
  flush: (_, res) => res.flushHeaders(),
  head: (_, res) => void (res.headersSent || res.writeHead(201, { 'X-Head': 'yes' })),
  length: (_, res) => void (res.headersSent || res.set('Content-Length', '4')),
  status: (_, res) => void (res.headersSent || res.status(204)),
}

function appOn(session: RequestHandler) {
  const app = express()
  app.use(session)
  app.all('/run/:program', async (req, res) => {
    const notes: unknown[] = []
    for (const name of req.params.program.split('-')) {
      if (req.session) notes.push((await steps[name]?.(req, res)) ?? null)
    }
    const text = JSON.stringify(notes.filter((note) => typeof note === 'string'))
    const length = Number(res.getHeader('Content-Length'))
    res.end(length > 0 ? 'done' : text)
    if (req.query.twice !== undefined) res.end('again')
  })
  app.get('/data', (req, res) => {
    const { cookie, ...data } = req.session
    const { expires: _, originalMaxAge, ...attributes } = JSON.parse(JSON.stringify(cookie)) as Record<string, unknown>
    // express-session loses a millisecond of it now and then.
    res.json({ data, attributes, age: typeof originalMaxAge === 'number' ? Math.round(originalMaxAge / 1000) : null })
  })
  return app
}

async function transcript(app: express.Express, { begun, programs, method, twice }: Play): Promise<unknown[]> {
  const seen: unknown[] = []
  let cookie = ''
  const ask = async (path: string, verb: 'get' | 'head' = 'get') => {
    const response = await request(app)[verb](path).set('Cookie', cookie)
    const sets = (response.headers['set-cookie'] as unknown as string[] | undefined) ?? []
    const before = cookie
    if (sets[0] !== undefined) cookie = sets[0].split(';')[0] as string
    seen.push({
      path,
      status: response.status,
      text: response.text,
      head: response.headers['x-head'],
      sets: sets.map((set) => set.replace(/^[^;]*/, '').replace(/Expires=[^;]*/, 'Expires=…')),
      changed: cookie !== before,
    })
  }
  if (begun) await ask('/run/set-deep')
  for (const program of programs) {
    const old = cookie
    await ask(`/run/${program.join('-')}${twice ? '?twice' : ''}`, method)
    await ask('/data')
    if (cookie === old) continue
    const current = cookie
    cookie = old
    await ask('/data')
    cookie = current
  }
  return seen
}

interface Play {
  readonly begun: boolean
  readonly programs: readonly (readonly string[])[]
  readonly method: 'get' | 'head'
  readonly twice: boolean
}

const play = fc.record({
  begun: fc.boolean(),
  programs: fc.array(fc.array(fc.constantFrom(...Object.keys(steps)), { minLength: 1, maxLength: 5 }), {
    minLength: 1,
    maxLength: 2,
  }),
  method: fc.constantFrom('get' as const, 'get' as const, 'head' as const),
  twice: fc.boolean(),
})

describe('whatever a handler does with its session', () => {
  it.each([
    ['defaults', {}],
    ['a cookie with an end', { cookie: { maxAge: 3_600_000 } }],
    ['saveUninitialized', { saveUninitialized: true }],
    ["unset: 'destroy'", { unset: 'destroy' }],
  ] as [string, Options][])(
    'is answered and kept as by express-session and connect-redis, with %s',
    async (_, options) => {
      const own = { name: 'sid', resave: false, saveUninitialized: false, secret: SECRET, ...options }
      const cookie = { sameSite: 'lax', httpOnly: true, secure: false, ...(options.cookie as object) } as const
      const before = appOn(expressSession({ store: new RedisStore({ client }), ...own, cookie }))
      const after = appOn(redisSession({ redis, ...own, cookie }))
      await fc.assert(
        fc.asyncProperty(play, async (given) => {
          expect(await transcript(after, given)).toEqual(await transcript(before, given))
        }),
        { numRuns: process.env.HOLDFAST_TEST_FULL ? 400 : 40 },
      )
    },
    120_000,
  )
})
