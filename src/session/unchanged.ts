import type { RedisSessionStore } from './store.js'

interface Exchange {
  session?: object | null | undefined
  sessionID?: string | undefined
}

/**
 * Spares express-session its questions at the end of a response whose request only read the session: it would
 * serialise and hash the session three times more. One comparison with what was read tells the same.
 */
export function endUnchanged(store: RedisSessionStore, request: Exchange, response: { end: unknown }): void {
  const id = request.sessionID
  const end = response.end as (...args: unknown[]) => unknown
  response.end = (...args: unknown[]): unknown => {
    const session = request.session ?? undefined
    const origin = session === undefined ? undefined : store.originOf(session)
    const read = origin !== undefined && origin.written !== true && id === request.sessionID
    if (!read || origin.json !== textOf(session)) return end.apply(response, args)
    // Without an id in the request express-session neither stores, nor touches, nor sets a cookie.
    request.sessionID = undefined
    try {
      return end.apply(response, args)
    } finally {
      request.sessionID = id
    }
  }
}

/** Undefined for what cannot be stored: saying so is left to express-session. */
function textOf(session: object | undefined): string | undefined {
  try {
    return JSON.stringify(session)
  } catch {
    return undefined
  }
}
