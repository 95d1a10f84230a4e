import express from 'express'
import { payload } from './payload.mjs'

/** Logs in on `/login`; `/` stands behind everything. `mount(app, path)` puts the middlewares there. */
export function stackApp(session, all) {
  const app = express()
  app.get('/login', session, (req, res) => {
    req.session.user = 'ada'
    res.json({ ok: true })
  })
  return app.get('/', ...all, (req, res) => {
    if (req.session !== undefined && req.session.user !== 'ada') return void res.sendStatus(401)
    res.set('Cache-Control', 'public').json(payload)
  })
}
