import type { RequestHandler } from 'express'

declare module 'express-session' {
  interface SessionData {
    account?: string
  }
}

/** Any name with the password `holdfast`: this example is about what happens around the check. */
export const logIn: RequestHandler = (req, res, next) => {
  const { user, password } = (req.body ?? {}) as Record<string, unknown>
  if (typeof user !== 'string' || password !== 'holdfast') {
    req.security.record('authn_login_fail', typeof user === 'string' ? { userId: user } : {})
    return void res.status(401).json({ error: 'wrong name or password' })
  }
  if (req.session === undefined) return void res.status(503).set('Retry-After', '1').json({ error: 'try again soon' })
  // A new id at log-in, so that a cookie planted before it is worth nothing after it.
  req.session.regenerate((failed) => {
    if (failed) return next(failed)
    req.session.account = user
    req.security.record('authn_login_success', { userId: user })
    res.json({ user })
  })
}

export const logOut: RequestHandler = (req, res, next) => {
  if (req.session === undefined) return void res.sendStatus(204)
  req.session.destroy((failed) => (failed ? next(failed) : res.sendStatus(204)))
}

/** While sessions cannot be read nobody is told that they are logged out. */
export const requireUser: RequestHandler = (req, res, next) => {
  if (req.session === undefined) return void res.status(503).set('Retry-After', '1').json({ error: 'try again soon' })
  if (req.session.account === undefined) return void res.status(401).json({ error: 'log in first' })
  next()
}
