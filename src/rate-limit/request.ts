import type { IncomingHttpHeaders } from 'node:http'

/** What the limiter reads of a request. Express' own type fits. */
export interface RequestLike {
  readonly ip?: string | undefined
  readonly method?: string | undefined
  readonly baseUrl?: string | undefined
  readonly path?: string | undefined
  readonly headers: IncomingHttpHeaders
  readonly socket?: { readonly destroyed?: boolean }
  readonly app?: { get(setting: string): unknown }
  /** Set by an authentication middleware. */
  readonly user?: unknown
  /** Set by a session middleware. */
  readonly session?: unknown
}
