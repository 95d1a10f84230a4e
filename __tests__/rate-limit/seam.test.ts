import { request, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { describe, expect, it } from '@jest/globals'
import express, { type Express, type NextFunction, type Request, type Response } from 'express'
import express4 from 'express4'
import supertest from 'supertest'
import {
  concurrency,
  fromExpressRateLimit,
  type RateLimitMiddleware,
  type RateLimitOptions,
  rateLimit,
} from '../../src/rate-limit/index.js'
import { type RateLimitSeam, type Started, seamOf } from '../../src/rate-limit/seam.js'
import { aNewName, eventually, listen, useRedis } from './support.js'

const world = useRedis()

type Seam = RateLimitSeam<Request, Response>
const from = (address: string) => ({ 'X-Forwarded-For': address })

function limiterOf(options: Partial<RateLimitOptions> = {}): [RateLimitMiddleware, Seam] {
  const limiter = rateLimit({ redis: world.redis, name: aNewName(), limit: 1, window: '1m', ...options })
  return [limiter, seamOf(limiter) as Seam]
}

describe('a limiter in two halves', () => {
  it.each([
    ['Express 5', express],
    ['Express 4', express4 as unknown as typeof express],
  ])('answers as the mounted one does: %s', async (_, make) => {
    const options = { policies: [{ name: 'p', limit: 2, window: '1h' }] } as const
    const answers = async (use: (app: Express) => void): Promise<unknown[]> => {
      const app = make()
      use(app)
      app.get('/', (req, res) => void res.json({ left: req.rateLimit?.remaining }))
      const seen: unknown[] = []
      for (let i = 0; i < 4; i++) {
        const { status, headers, text } = await supertest(app).get('/')
        const { date: _date, etag: _etag, 'x-ratelimit-reset': _reset, ...rest } = headers
        seen.push({ status, text, rest })
      }
      return seen
    }
    const [mounted] = limiterOf({ ...options, limit: undefined, window: undefined })
    const [, halves] = limiterOf({ ...options, limit: undefined, window: undefined })
    const begun = new WeakMap<Request, Started>()
    expect(
      await answers((app) => {
        app.use((req, _res, next) => {
          begun.set(req, halves.start(req))
          next()
        })
        app.use((_req, _res, next) => void setTimeout(next, 5))
        app.use((req, res, next) => halves.apply(begun.get(req) as Started, req, res, next))
      }),
    ).toEqual(await answers((app) => app.use(mounted)))
  })

  it('gives the points back of what somebody else answered', async () => {
    const [limiter, seam] = limiterOf()
    const app = express()
      .use('/elsewhere', (req, res) => {
        seam.abandon(seam.start(req))
        res.end()
      })
      .use(limiter, (_req: Request, res: Response) => void res.end())
    await supertest(app).get('/elsewhere').expect(200)
    await eventually(async () => expect((await limiter.peek({ address: '127.0.0.1' })).tightest.used).toBe(0))
    await supertest(app).get('/').expect(200)
    await supertest(app).get('/').expect(429)
  })

  it('tells of an error when it is applied, and of none that nobody asks for', async () => {
    const [, seam] = limiterOf({ key: () => Promise.reject(new Error('who?')) })
    const app = express()
      .use('/unasked', (req, res) => {
        seam.abandon(seam.start(req))
        res.end()
      })
      .use((req, res, next) => seam.apply(seam.start(req), req, res, next))
      .use(
        (error: Error, _req: Request, res: Response, _next: NextFunction) => void res.status(500).send(error.message),
      )
    await supertest(app).get('/unasked').expect(200)
    await supertest(app).get('/').expect(500, 'who?')

    const nobody = { headers: {}, app: { get: () => false } } as unknown as Request
    const started = limiterOf()[1].start(nobody)
    await expect(started).rejects.toMatchObject({ code: 'ERR_HOLDFAST_RATE_LIMIT_KEY' })
  })

  it('may start before the middlewares in front only where it reads nothing they set', () => {
    expect(limiterOf({ user: false })[1].early).toBe(true)
    for (const options of [
      {},
      { user: () => 'u' },
      { user: false, key: () => 'k' },
      { user: false, skip: () => false },
      { user: false, limit: () => 1 },
    ] as const) {
      expect(limiterOf(options)[1].early).toBe(false)
    }
  })

  it('is there on every limiter, and on nothing else', () => {
    const { redis } = world
    expect(seamOf(fromExpressRateLimit({ redis, limit: 1 }))).toBeDefined()
    for (const other of [undefined, null, {}, concurrency({ redis }), () => {}]) expect(seamOf(other)).toBeUndefined()
  })
})

describe('isBlocked', () => {
  const bare = { headers: {} } as Request

  it('knows who was refused, by address, and answers as the middleware does', async () => {
    const [limiter, seam] = limiterOf({ user: false })
    const app = express().set('trust proxy', 1)
    app.use(limiter, (_req: Request, res: Response) => void res.end())
    expect(seam.isBlocked(bare, '192.0.2.7')).toBeUndefined()
    await supertest(app).get('/').set(from('192.0.2.7')).expect(200)
    expect(seam.isBlocked(bare, '192.0.2.7')).toBeUndefined()
    await supertest(app).get('/').set(from('192.0.2.7')).expect(429)

    const { status, body, headers } = await supertest(app).get('/').set(from('192.0.2.7'))
    const known = seam.isBlocked(bare, '::ffff:192.0.2.7')
    expect(known).toMatchObject({ status, head: { 'Content-Type': headers['content-type'] } })
    expect(JSON.parse(String(known?.body))).toEqual(body)
    for (const name of ['RateLimit-Policy', 'RateLimit', 'X-RateLimit-Limit', 'X-RateLimit-Remaining', 'Retry-After']) {
      expect([name, known?.head[name]]).toEqual([name, headers[name.toLowerCase()]])
    }
    const text = seam.isBlocked({ headers: { accept: 'text/html' } } as Request, '192.0.2.7')
    expect(String(text?.body)).toBe('Too many requests\n')
    expect(seam.isBlocked(bare, '192.0.2.8')).toBeUndefined()
    for (const nobody of [undefined, '', 'unknown', '192.0.2.7, 192.0.2.7']) {
      expect(seam.isBlocked(bare, nobody)).toBeUndefined()
    }
    await limiter.reset({ address: '192.0.2.7' })
    expect(seam.isBlocked(bare, '192.0.2.7')).toBeUndefined()
  })

  it('leaves to Express what only Express can tell', async () => {
    const reasons = [
      {},
      { user: () => 'u' },
      { user: false, key: () => 'k' },
      { user: false, skip: () => false },
      { user: false, allowList: () => false },
      { user: false, denyList: () => false },
      { user: false, limit: () => 1 },
      { user: false, cost: () => 1 },
      { user: false, handler: (_req: Request, res: Response) => void res.end() },
    ] as const
    for (const options of reasons) {
      const [limiter, seam] = limiterOf(options)
      expect(seam.ineligible).toMatch(/^"/)
      await limiter.block({ address: '127.0.0.1' }, '1m')
      const app = express().use(limiter, (_req, res) => void res.end())
      await supertest(app).get('/')
      await supertest(app).get('/')
      expect(seam.isBlocked(bare, '127.0.0.1')).toBeUndefined()
    }
    expect(limiterOf({ user: false })[1].ineligible).toBeUndefined()
  })

  it('refuses nobody in shadow mode', async () => {
    const [limiter, seam] = limiterOf({ user: false, mode: 'shadow' })
    const app = express().use(limiter, (_req, res) => void res.end())
    for (let i = 0; i < 3; i++) await supertest(app).get('/').expect(200)
    expect(seam.isBlocked(bare, '127.0.0.1')).toBeUndefined()
  })
})

describe('a client that has gone', () => {
  const CLIENTS = 200

  async function disconnect(server: Server, path: string): Promise<void> {
    const { port } = server.address() as AddressInfo
    const gone = Array.from({ length: CLIENTS }, async () => {
      const socket = connect(port, '127.0.0.1')
      await new Promise((resolve) => socket.once('connect', resolve))
      socket.on('error', () => {})
      socket.write(`POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n`, () => socket.resetAndDestroy())
    })
    await Promise.all(gone)
  }

  it.each([
    ['rateLimit', () => rateLimit({ redis: world.redis, name: aNewName(), limit: 10_000 })],
    ['rateLimit with functions', () => rateLimit({ redis: world.redis, name: aNewName(), limit: async () => 10_000 })],
    ['concurrency', () => concurrency({ redis: world.redis, name: aNewName(), limit: 10_000 })],
  ])('is not served uncounted, and is no error: %s', async (_, limiter) => {
    const errors: unknown[] = []
    let arrived = 0
    let served = 0
    const app = express()
    app.use((req, _res, next) => {
      arrived++
      // The limiter comes when the socket is closed, as behind a middleware that takes its time.
      if (req.socket.destroyed) next()
      else req.socket.once('close', () => next())
    })
    app.use(limiter())
    app.use((_req, res) => {
      served++
      res.end()
    })
    app.use((error: unknown, _req: Request, res: Response, _next: NextFunction) => {
      errors.push(error)
      res.end()
    })
    const server = listen(app)
    await disconnect(server, '/')
    await eventually(() => expect(arrived).toBe(CLIENTS), { within: 10_000 })
    await eventually(async () => expect(await connections(server)).toBe(0), { within: 10_000 })
    expect({ errors, served }).toEqual({ errors: [], served: 0 })
  })

  it('without an address because there is none is an error still: a Unix socket', async () => {
    const app = express().use(rateLimit({ redis: world.redis, name: aNewName() }))
    app.use((error: { code: string }, _req: Request, res: Response, _next: NextFunction) => void res.end(error.code))
    const path = `/tmp/holdfast-${process.pid}-${aNewName()}.sock`
    const server = app.listen(path)
    try {
      const body = await new Promise<string>((resolve, reject) => {
        request({ socketPath: path }, (res) => {
          let text = ''
          res.on('data', (chunk) => {
            text += chunk
          })
          res.on('end', () => resolve(text))
        })
          .on('error', reject)
          .end()
      })
      expect(body).toBe('ERR_HOLDFAST_RATE_LIMIT_KEY')
    } finally {
      server.close()
    }
  })
})

function connections(server: Server): Promise<number> {
  return new Promise((resolve, reject) =>
    server.getConnections((error, count) => (error === null ? resolve(count) : reject(error))),
  )
}
