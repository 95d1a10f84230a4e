import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Duration, toMs } from '../shared/duration.js'
import { aDuration, checkOptions, type Rules } from '../shared/options.js'
import { refuse } from './refuse.js'
import type { RequestSessions } from './request-sessions.js'

export interface RequireSessionOptions {
  /**
   * The user must have proved who they are within this time, for sensitive actions. Then an access token alone is not
   * enough while Redis is away. @default any time
   */
  readonly fresh?: Duration | undefined
}

export type RequireSession = (
  req: IncomingMessage & { readonly sessions?: RequestSessions },
  res: ServerResponse,
  next: (error?: unknown) => void,
) => void

const rules: Rules<RequireSessionOptions> = { fresh: aDuration(1) }

/**
 * Lets logged-in users pass. Others get 401; 403 where `fresh` asks for a new log-in; and 503, never 401, while nobody
 * can tell, since a 401 makes clients throw their log-in away.
 *
 * @example
 * ```ts
 * import express from 'express'
 * import { requireSession } from 'holdfast/session'
 *
 * const app = express()
 * app.post('/password', requireSession({ fresh: '10m' }), (req, res) => void res.json({ user: req.sessions.userId }))
 * ```
 */
export function requireSession(options: RequireSessionOptions = {}): RequireSession {
  checkOptions('requireSession', options, rules)
  const fresh = options.fresh === undefined ? undefined : toMs(options.fresh)
  return function requireSessionMiddleware({ sessions }, res, next) {
    if (sessions === undefined) return next(new TypeError('requireSession needs redisSession before it'))
    const { state, userId, authenticatedAt } = sessions
    if (state === 'unavailable') return refuse(res, 'session-unavailable')
    if (state === 'degraded' && fresh !== undefined) return refuse(res, 'session-unavailable')
    if (userId === undefined) return refuse(res, 'login-required')
    const age = authenticatedAt === undefined ? Number.POSITIVE_INFINITY : Date.now() - authenticatedAt.getTime()
    if (fresh !== undefined && age > fresh) return refuse(res, 'login-too-old')
    next()
  }
}
