import express, { type ErrorRequestHandler, type Express } from 'express'
import type { RedisManager } from 'holdfast'
import { isSessionUnavailable, redisSession, requireSession } from 'holdfast/session'
import { accountPage, loginPage } from './pages.js'

/** Anybody may log in with a name: an example of sessions, not of passwords. */
export function createApp(redis: RedisManager, secret = 'for development only'): Express {
  const session = redisSession({ redis, secret, ttl: '30m', maxPerUser: 5 })
  const app = express()
  app.use(session)
  app.use(express.urlencoded({ extended: false }))

  app.get('/', async (req, res) => {
    const { state, userId } = req.sessions
    if (state !== 'ready') return void res.status(503).send(loginPage('We cannot see who you are for a moment.'))
    if (userId === undefined) return void res.send(loginPage())
    const visits = await req.sessions.increment('visits')
    res.send(accountPage({ userId, visits, devices: await req.sessions.list() }))
  })

  app.post('/login', async (req, res) => {
    const name = String(req.body?.name ?? '').trim()
    if (name === '') return void res.status(400).send(loginPage('Who are you?'))
    await req.sessions.login(name)
    res.redirect(303, '/')
  })

  app.post('/logout', async (req, res) => {
    await req.sessions.logout()
    res.redirect(303, '/')
  })

  app.post('/devices/logout-others', requireSession(), async (req, res) => {
    await req.sessions.revokeOthers()
    res.redirect(303, '/')
  })

  app.post('/devices/logout', requireSession(), async (req, res) => {
    await req.sessions.revoke(String(req.body?.device))
    res.redirect(303, '/')
  })

  app.post('/account/delete', requireSession({ fresh: '5m' }), async (req, res) => {
    await session.sessions.revokeAll(req.sessions.userId as string)
    res.redirect(303, '/')
  })

  app.use(((error, _req, res, next) => {
    if (!isSessionUnavailable(error)) return next(error)
    // Not a log-out: the same cookie works again in a moment.
    res.status(503).send(loginPage('We cannot see who you are for a moment.'))
  }) satisfies ErrorRequestHandler)
  return app
}
