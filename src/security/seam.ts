import { securitySeam } from '../shared/seams.js'
import type { ResponseLike } from './refuse.js'

/** The security log for what answers requests before Express does (`src/server`). Synchronous. */
export interface SecuritySeam {
  /** Whether nobody but an attacker asks for a path: the log has to see such a request. */
  isTrap(path: string): boolean
  /** How long an address is blocked yet, in ms; `undefined` where it is not. */
  blockedFor(address: string | undefined): number | undefined
  /** What the middleware answers to who is blocked. */
  refuse(res: ResponseLike, retryAfterMs: number): void
}

export function withSeam<Middleware extends object>(middleware: Middleware, value: SecuritySeam): Middleware {
  return Object.defineProperty(middleware, securitySeam, { value })
}
