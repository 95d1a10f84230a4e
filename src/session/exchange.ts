import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import type { RequestSessions } from './request-sessions.js'

type Next = (error?: unknown) => void

/** What sessions need of a request, whatever framework made it. */
export interface Exchange {
  readonly headers: IncomingHttpHeaders
  readonly url?: string | undefined
  originalUrl?: string | undefined
  readonly secure?: boolean
  readonly ip?: string | undefined
  readonly res?: ServerResponse
  readonly next?: Next
  session?: object | null | undefined
  sessionID?: string | undefined
  sessionStore?: unknown
  sessions: RequestSessions
}

/** express-session, or a step of what stands around it. */
export type Step = (request: Exchange, response: ServerResponse, next: Next) => void
