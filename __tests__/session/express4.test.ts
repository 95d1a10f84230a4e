import { describe, expect, it } from '@jest/globals'
import type { Express, NextFunction, Request, Response } from 'express'
import express4 from 'express4'
import request from 'supertest'
import { createRedisManager, type RedisManager } from '../../src/redis/index.js'
import { type RedisSessionOptions, redisSession, requireSession } from '../../src/session/index.js'
import { eventually } from '../support/eventually.js'
import { startRedis } from '../support/redis-server.js'
import { cookieOf, idOf, SECRET, useRedis } from './app.js'

const world = useRedis()

/** Express 4 does not look at the promises of its handlers. */
const handled = (handle: (req: Request, res: Response) => Promise<unknown>) => {
  return (req: Request, res: Response, next: NextFunction) => void handle(req, res).catch(next)
}

function app(redis: RedisManager, options: Partial<RedisSessionOptions> = {}): Express {
  const app = (express4 as unknown as () => Express)()
  app.use(redisSession({ redis, secret: SECRET, ...options }))
  app.get('/state', (req, res) => void res.json({ state: req.sessions.state, session: req.session !== undefined }))
  app.get('/private', requireSession(), (req, res) => void res.json({ user: req.sessions.userId }))
  app.get('/fresh', requireSession({ fresh: 1 }), (_, res) => void res.json(true))
  app.post(
    '/login/:user',
    handled(async (req, res) => {
      await req.sessions.login(req.params.user as string)
      res.json({ user: req.sessions.userId })
    }),
  )
  app.post(
    '/rotate',
    handled(async (req, res) => {
      await req.sessions.rotate()
      res.json({ user: req.sessions.userId })
    }),
  )
  app.post(
    '/logout',
    handled(async (req, res) => {
      await req.sessions.logout()
      res.json({ user: req.sessions.userId ?? null })
    }),
  )
  app.get(
    '/devices',
    handled(async (req, res) => res.json((await req.sessions.list()).map(({ current }) => current))),
  )
  app.post(
    '/once',
    handled(async (req, res) => res.json([await req.sessions.setOnce('a', 1), await req.sessions.take('a')])),
  )
  return app
}

describe('on Express 4', () => {
  it('req.sessions logs in and out, rotates, lists and takes', async () => {
    const one = app(world.redis)
    const first = cookieOf(await request(one).post('/login/four').expect(200, { user: 'four' }))
    await request(one).get('/private').set('Cookie', first).expect(200, { user: 'four' })
    const second = cookieOf(await request(one).post('/rotate').set('Cookie', first).expect(200, { user: 'four' }))
    expect(idOf(second)).not.toBe(idOf(first))
    await request(one).get('/devices').set('Cookie', second).expect(200, [true])
    await request(one).post('/once').set('Cookie', second).expect(200, [true, 1])
    await request(one).post('/logout').set('Cookie', second).expect(200, { user: null })
    await request(one).get('/private').set('Cookie', second).expect(401)
  })

  it('requireSession answers 401 to visitors and 403 to a log-in of long ago', async () => {
    const one = app(world.redis)
    await request(one).get('/private').expect(401)
    const cookie = cookieOf(await request(one).post('/login/four'))
    await new Promise((resolve) => setTimeout(resolve, 20))
    await request(one).get('/fresh').set('Cookie', cookie).expect(403)
  })

  it('an outage logs nobody out: 503, no cookie, and the session is there again', async () => {
    const server = await startRedis()
    const redis = createRedisManager({ url: server.url, logger: false })
    try {
      await redis.ready()
      const one = app(redis)
      const cookie = cookieOf(await request(one).post('/login/four').expect(200))
      server.pause()
      await eventually(
        async () => {
          await request(one).get('/state').set('Cookie', cookie)
          return !redis.available
        },
        { within: 10_000 },
      )
      const away = await request(one).get('/private').set('Cookie', cookie).expect(503)
      expect(away.headers['set-cookie']).toBeUndefined()
      await request(one).get('/state').set('Cookie', cookie).expect(200, { state: 'unavailable', session: false })
      await request(app(redis, { onUnavailable: 'reject' }))
        .get('/state')
        .set('Cookie', cookie)
        .expect(503)
      const ephemeral = app(redis, { onUnavailable: 'ephemeral' })
      await request(ephemeral).get('/state').set('Cookie', cookie).expect({ state: 'unavailable', session: true })
      server.resume()
      await eventually(() => redis.available, { within: 10_000 })
      await request(one).get('/private').set('Cookie', cookie).expect(200, { user: 'four' })
    } finally {
      await redis.close()
      await server.stop()
    }
  })
})
