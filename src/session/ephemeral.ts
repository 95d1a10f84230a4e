import { MemoryStore, Session, Cookie as SessionCookie, type SessionData } from 'express-session'

interface Holder {
  session?: unknown
  sessionStore?: unknown
  sessionID?: unknown
}

/**
 * Gives the request a session for its own length: it has the methods of a real one, and nothing of it is kept. It has
 * no id, so that express-session neither stores it nor sends a cookie.
 */
export function useEphemeralSession(request: Holder): void {
  const Constructor = Session as unknown as new (request: object) => SessionData
  const generate = (holder: Holder): void => {
    const session = new Constructor(holder)
    session.cookie = new SessionCookie()
    holder.session = session
  }
  request.sessionID = undefined
  request.sessionStore = Object.assign(new MemoryStore(), { generate })
  generate(request)
}
