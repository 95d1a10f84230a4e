import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { RedisStore } from 'connect-redis'
import express, { type RequestHandler } from 'express'
import expressSession from 'express-session'
import { Redis } from 'ioredis'
import request from 'supertest'
import { createRedisManager, type RedisManager } from '../../src/redis/index.js'
import { redisSession } from '../../src/session/index.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'

let server: RedisServer
let redis: RedisManager
let client: Redis
beforeAll(async () => {
  server = await startRedis()
  redis = createRedisManager({ url: server.url, logger: false, commandTimeout: 2000 })
  client = new Redis(server.url)
  await redis.ready()
})
afterAll(async () => {
  client.disconnect()
  await redis.close()
  await server.stop()
})

type Options = Omit<expressSession.SessionOptions, 'store' | 'secret' | 'genid'>
const SECRET = 'secret'

const stacks: readonly (readonly [string, (options: Options) => RequestHandler])[] = [
  [
    'express-session + connect-redis',
    (options) =>
      expressSession({
        store: new RedisStore({ client }),
        secret: SECRET,
        resave: false,
        saveUninitialized: false,
        name: 'sid',
        ...options,
      }),
  ],
  ['holdfast/session', (options) => redisSession({ redis, secret: SECRET, name: 'sid', ...(options as object) })],
]

/** An application as the README of express-session would have it: the middleware is all it gets. */
function appOn(session: RequestHandler) {
  const app = express()
  app.set('trust proxy', 1)
  app.use(session)
  app.get('/views', (req, res) => {
    req.session.visits = (req.session.visits ?? 0) + 1
    res.json(req.session.visits)
  })
  app.get(
    '/read',
    (req, res) => void res.json({ visits: req.session.visits ?? null, id: req.session.id === req.sessionID }),
  )
  app.get('/login', (req, res, next) => {
    req.session.regenerate((error) => {
      if (error) return next(error)
      req.session.user = 'ann'
      req.session.save((failure) => (failure ? next(failure) : res.redirect('/read')))
    })
  })
  app.get('/user', (req, res) => void res.json(req.session.user ?? null))
  app.get('/logout', (req, res, next) => {
    req.session.user = undefined as never
    req.session.save((error) => {
      if (error) return next(error)
      req.session.regenerate((failure) => (failure ? next(failure) : res.redirect('/read')))
    })
  })
  app.get('/destroy', (req, res, next) =>
    req.session.destroy((error) => (error ? next(error) : res.json(req.session ?? null))),
  )
  app.get('/delete', (req, res) => {
    delete (req as { session?: unknown }).session
    res.json('deleted')
  })
  app.get('/null', (req, res) => {
    Object.assign(req, { session: null })
    res.json('null')
  })
  app.get('/reload', (req, res, next) => {
    req.session.visits = 1000
    req.session.reload((error) => (error ? next(error) : res.json(req.session.visits)))
  })
  app.get('/remember', (req, res) => {
    req.session.cookie.maxAge = 3_600_000
    req.session.visits = 1
    // express-session loses a millisecond of it now and then.
    res.json(Math.round((req.session.cookie.originalMaxAge as number) / 1000))
  })
  app.get('/stream', (req, res) => {
    req.session.visits = 7
    res.write('a')
    res.end('b')
  })
  app.get('/length', (req, res) => {
    req.session.visits = 8
    res.set('Content-Length', '5').end('hello')
  })
  app.get('/file', (req, res) => {
    req.session.visits = 9
    res.type('txt').send(Buffer.from('bytes'))
  })
  app.get('/head', (req, res) => {
    req.session.visits = 10
    res.status(204).end()
  })
  app.get('/flush', (req, res) => {
    res.flushHeaders()
    req.session.visits = 12
    res.end('flushed')
  })
  app.get('/write-head', (req, res) => {
    req.session.visits = 13
    res.writeHead(201, { 'Content-Type': 'text/plain' })
    res.end('written')
  })
  app.get('/twice', (req, res) => {
    req.session.visits = (req.session.visits ?? 0) + 1
    res.set('Content-Length', '4').end('once')
    res.end('twice')
  })
  app.get('/twice-read', (_, res) => {
    res.set('Content-Length', '4').end('once')
    res.end('twice')
  })
  app.get('/stripped', (req, res) => {
    // What a proxy does to a request that it passes on.
    delete req.headers.cookie
    req.originalUrl = '*'
    req.session.visits = 14
    res.json('stripped')
  })
  app.get('/wrapped', (req, res) => {
    const { end, write } = res
    const note = (name: string): void => {
      if (!res.headersSent) res.append('X-Wrapped', name)
    }
    res.end = ((...args: Parameters<typeof end>) => {
      note('end')
      return end.apply(res, args)
    }) as typeof end
    res.write = ((...args: Parameters<typeof write>) => {
      note('write')
      return write.apply(res, args)
    }) as typeof write
    req.session.visits = 15
    res.send('wrapped')
  })
  app.get('/deep', (req, res) => {
    req.session.k1 ??= { list: [] }
    const { list } = req.session.k1 as { list: number[] }
    list.push(list.length)
    res.json(list)
  })
  app.get('/saved', (req, res, next) => {
    req.session.visits = 16
    const saved = req.session.save((error) => (error ? next(error) : res.json(saved === req.session)))
  })
  app.get('/touched', (req, res) => void res.json(req.session.touch() === req.session))
  app.get('/fail', (req) => {
    req.session.visits = 11
    throw new Error('the handler failed')
  })
  app.get('/store', (req, res, next) => {
    req.sessionStore.get(req.sessionID, (error, data) => (error ? next(error) : res.json(data?.visits ?? null)))
  })
  return app
}

const script: readonly (readonly [path: string, cookie?: 'kept' | 'none'])[] = [
  ['/read'],
  ['/views'],
  ['/views'],
  ['/read'],
  ['/store'],
  ['/reload'],
  ['/login'],
  ['/user'],
  ['/logout'],
  ['/user'],
  ['/views'],
  ['/null'],
  ['/read'],
  ['/delete'],
  ['/read'],
  ['/stream'],
  ['/read'],
  ['/length'],
  ['/read'],
  ['/file'],
  ['/read'],
  ['/head'],
  ['/read'],
  ['/flush'],
  ['/read'],
  ['/write-head'],
  ['/read'],
  ['/twice'],
  ['/twice-read'],
  ['/read'],
  ['/stripped'],
  ['/read'],
  ['/wrapped'],
  ['/read'],
  ['/deep'],
  ['/deep'],
  ['/deep'],
  ['/saved'],
  ['/read'],
  ['/touched'],
  ['/fail'],
  ['/read'],
  ['/remember'],
  ['/read'],
  ['/destroy'],
  ['/read'],
  ['/stream', 'none'],
  ['/length', 'none'],
  ['/write-head', 'none'],
  ['/wrapped', 'none'],
  ['/twice', 'none'],
  ['/head', 'none'],
  ['/fail', 'none'],
]

/** What a browser sees of the app, step by step, without what is random. */
async function transcript(app: express.Express): Promise<string[]> {
  const seen: string[] = []
  let cookie = ''
  for (const [path, send = 'kept'] of script) {
    const response = await request(app)
      .get(path)
      .set('Cookie', send === 'kept' ? cookie : '')
      .set('X-Forwarded-Proto', 'https')
    const set = (response.headers['set-cookie'] as unknown as string[] | undefined)?.[0]
    const changed = set !== undefined && set.split(';')[0] !== cookie
    if (set !== undefined && send === 'kept') cookie = set.split(';')[0] as string
    const attributes = set?.replace(/^[^;]*/, '').replace(/Expires=[^;]*/, 'Expires=…')
    const failed = response.status >= 500
    const { 'content-length': length, location, 'x-wrapped': wrapped } = response.headers
    seen.push(
      [
        path,
        send,
        response.status,
        failed || response.text,
        failed || length,
        location,
        wrapped,
        changed,
        attributes,
      ].join(' | '),
    )
  }
  return seen
}

describe('an application written for express-session and connect-redis', () => {
  it.each([
    ['defaults', {}],
    ['a cookie with an end', { cookie: { maxAge: 60_000 } }],
    ['rolling', { rolling: true, cookie: { maxAge: 60_000 } }],
    ['resave', { resave: true }],
    ['saveUninitialized', { saveUninitialized: true }],
    ["unset: 'destroy'", { unset: 'destroy' }],
    [
      'a cookie that is a function',
      { cookie: (req: express.Request) => ({ path: '/', maxAge: req.secure ? 1000 : 2000 }) },
    ],
    ['a strict cookie', { cookie: { sameSite: 'strict', secure: true, domain: 'shop.example' } }],
  ] as [string, Options][])('behaves as before with %s', async (_, options) => {
    const cookie = (request: express.Request): expressSession.CookieOptions => {
      const own: expressSession.CookieOptions =
        typeof options.cookie === 'function' ? options.cookie(request) : (options.cookie ?? {})
      // Our defaults, written out: they are the one thing meant to differ.
      return { sameSite: 'lax', httpOnly: true, secure: true, ...own }
    }
    const [[, before], [, after]] = stacks as [(typeof stacks)[number], (typeof stacks)[number]]
    const expected = await transcript(appOn(before({ ...options, cookie })))
    expect(await transcript(appOn(after(options)))).toEqual(expected)
  })
})
