import type { ServerResponse } from 'node:http'
import type { Session, SessionData } from 'express-session'
import { isSessionUnavailable } from './errors.js'
import type { Exchange } from './exchange.js'
import { LiveSession } from './live.js'
import type { Facts } from './record.js'
import type { RedisSessionStore } from './store.js'

type Generating = RedisSessionStore & { generate(request: Exchange): void }

export interface CommitSettings {
  readonly saveUninitialized: boolean
  readonly factsOf: (request: Exchange) => Facts
  readonly unavailable: (error: unknown, operation: 'save') => void
}

/**
 * Stores a new session before its response starts. express-session sends the cookie first and stores the session
 * after: where that fails, the client is left with a cookie that opens nothing, in place of one that did.
 */
export function commitFirst(
  store: RedisSessionStore,
  { saveUninitialized, factsOf, unavailable }: CommitSettings,
): void {
  const generating = store as Generating
  const generate = generating.generate
  generating.generate = (request) => {
    const replaces = request.session !== undefined
    generate(request)
    const session = new LiveSession(request, request.sessionID as string, request.session as SessionData)
    LiveSession.mint(session, factsOf(request))
    request.session = session
    if (request.res !== undefined) holdBack(request, request.res, saveUninitialized || replaces)
  }

  function holdBack(request: Exchange, response: ServerResponse, evenEmpty: boolean): void {
    const end = response.end as unknown as (...args: unknown[]) => unknown
    let ended = false
    let saving = false
    response.end = ((...args: unknown[]): unknown => {
      // As with express-session: what follows the end is nobody's error.
      if (saving) return false
      const finish = (): unknown => end.apply(response, args)
      const session = (request.session ?? undefined) as (Session & SessionData) | undefined
      const settled = ended || session === undefined || store.originOf(session) !== undefined
      ended = true
      if (settled || response.headersSent || !(evenEmpty || holdsData(session))) return finish()
      saving = true
      session.save((error?: unknown) => {
        saving = false
        if (error === undefined || error === null) return void finish()
        // No cookie for what was not stored.
        Object.assign(request, { session: undefined, sessionID: undefined })
        if (!isSessionUnavailable(error) && request.next !== undefined) return request.next(error)
        unavailable(error, 'save')
        finish()
      })
      return response
    }) as typeof response.end
  }
}

function holdsData(session: object): boolean {
  for (const key of Object.keys(session)) if (key !== 'cookie') return true
  return false
}
