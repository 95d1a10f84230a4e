import { addressOf } from '../shared/address.js'
import { routePattern } from '../shared/route.js'
import type { SecurityEventDetails } from './event.js'

/** What is read of a request, whatever its framework calls the type. */
export interface RequestLike {
  readonly headers: { readonly [name: string]: string | readonly string[] | undefined }
  readonly method: string
  readonly originalUrl: string
  readonly baseUrl: string
  readonly ip?: string | undefined
  readonly route?: unknown
  readonly params?: unknown
}

interface Known {
  readonly id?: unknown
  readonly user?: { readonly id?: unknown; readonly sub?: unknown } | null
  readonly auth?: { readonly sub?: unknown } | null
  readonly session?: { readonly userId?: unknown } | null
  readonly sessionID?: unknown
}

/** A function of the application must not turn recording into an error. */
export function safely<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}

/** Where, how and for what was asked. */
export function factsOf(req: RequestLike): SecurityEventDetails {
  return {
    ip: addressOf(req),
    userAgent: headerOf(req, 'user-agent'),
    method: req.method,
    path: routeOf(req),
    sessionId: sessionOf(req),
  }
}

export function userOf(req: object): string | number | undefined {
  const { user, auth, session } = req as Known
  const id = user?.id ?? user?.sub ?? auth?.sub ?? session?.userId
  return typeof id === 'string' || typeof id === 'number' ? id : undefined
}

export function requestIdOf(req: RequestLike): string | undefined {
  const given = (req as Known).id ?? headerOf(req, 'x-request-id')
  return typeof given === 'string' || typeof given === 'number' ? String(given) : undefined
}

export function sessionOf(req: object): string | undefined {
  const { session, sessionID } = req as Known
  return session && typeof sessionID === 'string' ? sessionID : undefined
}

export function headerOf({ headers }: RequestLike, name: string): string | undefined {
  const value = headers[name]
  return typeof value === 'string' ? value : undefined
}

export function hasCredentials({ headers }: RequestLike): boolean {
  return headers.authorization !== undefined || headers.cookie !== undefined
}

/** Where no route matched, the path. */
function routeOf(req: RequestLike): string {
  return routePattern(req) ?? pathOf(req)
}

/** The path without its query. */
export function pathOf({ originalUrl }: RequestLike): string {
  const end = originalUrl.indexOf('?')
  return end < 0 ? originalUrl : originalUrl.slice(0, end)
}
