import type { ServerResponse } from 'node:http'
import type { Session } from 'express-session'
import { isSessionUnavailable } from './errors.js'
import type { RedisSessionStore } from './store.js'

interface Exchange {
  session?: (Session & { readonly cookie: unknown }) | undefined
  sessionID?: string | undefined
  readonly res?: ServerResponse
  readonly next?: (error?: unknown) => void
}

type Generating = RedisSessionStore & { generate(request: Exchange): void }

/**
 * Stores a new session before its response starts. express-session sends the cookie first and stores the session
 * after: where that fails, the client is left with a cookie that opens nothing, in place of one that did.
 */
export function commitFirst(
  store: RedisSessionStore,
  saveUninitialized: boolean,
  unavailable: (error: unknown, operation: 'save') => void,
): void {
  const generating = store as Generating
  const generate = generating.generate
  generating.generate = (request) => {
    const replaces = request.session !== undefined
    generate(request)
    const { session, res } = request
    if (session === undefined) return
    store.minted(session)
    if (res !== undefined) holdBack(request, res, saveUninitialized || replaces)
  }

  function holdBack(request: Exchange, response: ServerResponse, evenEmpty: boolean): void {
    const { end } = response
    let ended = false
    const held = (...args: unknown[]): ServerResponse => {
      const finish = (): ServerResponse => (end as (...args: unknown[]) => ServerResponse).apply(response, args)
      const { session } = request
      const settled = ended || session === undefined || store.originOf(session) !== undefined
      ended = true
      if (settled || response.headersSent || !(evenEmpty || holdsData(session))) return finish()
      session.save((error?: unknown) => {
        if (error === undefined || error === null) return void finish()
        // No cookie for what was not stored.
        Object.assign(request, { session: undefined, sessionID: undefined })
        if (!isSessionUnavailable(error) && request.next !== undefined) return request.next(error)
        unavailable(error, 'save')
        finish()
      })
      return response
    }
    response.end = held as ServerResponse['end']
  }
}

function holdsData(session: object): boolean {
  for (const key in session) if (key !== 'cookie' && Object.hasOwn(session, key)) return true
  return false
}
