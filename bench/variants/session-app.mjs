import express from 'express'
import { payload } from './payload.mjs'

/** Logs in on `/login`; `/` reads one value of the session. */
export function sessionApp(middleware) {
  const app = express()
  app.use(middleware)
  app.get('/login', (req, res) => {
    req.session.user = 'ada'
    res.json({ ok: true })
  })
  return app.get('/', (req, res) => {
    if (req.session?.user !== 'ada') return void res.sendStatus(401)
    res.json(payload)
  })
}
