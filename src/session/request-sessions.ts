/** `none`: not asked for here. `unavailable`: it may well exist, nobody can tell. */
export type SessionState = 'none' | 'ready' | 'unavailable'

/** What a request knows of its session besides the session itself. */
export class RequestSessions {
  state: SessionState = 'none'
}
