import { parseCacheControl, seconds } from './cache-control.js'

/** Why a request takes no part in caching. */
export type BypassReason =
  | 'disabled'
  | 'unavailable'
  | 'method'
  | 'request-body'
  | 'authorization'
  | 'cookie'
  | 'key'
  | 'range'
  | 'precondition'
  | 'request-no-store'
  | 'upgrade'

/** What a request says of stored responses, in seconds (RFC 9111 §5.2.1). */
export interface Asked {
  /** The handler must be asked, whatever is stored. */
  readonly reload: boolean
  readonly maxAge: number | undefined
  readonly minFresh: number | undefined
  /** Without an argument: as stale as can be. */
  readonly maxStale: number | undefined
  /** The handler must not be asked. */
  readonly onlyIfCached: boolean
}

/** What may be asked of the store for a request. */
export type Lookup =
  | { readonly use: 'bypass'; readonly reason: BypassReason }
  | {
      readonly use: 'store'
      readonly write: boolean
      /** The request carries a cookie, or credentials, that are not part of the key. */
      readonly publicOnly: boolean
      readonly authorized: boolean
      readonly asked: Asked
    }

export type Plan = Extract<Lookup, { readonly use: 'store' }>

export interface RequestFacts {
  readonly method: string
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
}

/** What the route says of requests. */
export interface AskedRoute {
  /** The caller's own key covers who is asking. */
  readonly keyed: boolean
  readonly ignoreCookies: boolean
  /** The route declares a ttl. */
  readonly explicit: boolean
}

const bypass = (reason: BypassReason): Lookup => ({ use: 'bypass', reason })

export function lookup({ method, headers }: RequestFacts, { keyed, ignoreCookies, explicit }: AskedRoute): Lookup {
  if (method !== 'GET' && method !== 'HEAD') return bypass('method')
  // A body can change what is answered and is not part of the key (RFC 9110 §9.3.1).
  if (headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) !== 0) {
    return bypass('request-body')
  }
  if (headers.upgrade !== undefined) return bypass('upgrade')
  if (headers['if-match'] !== undefined || headers['if-unmodified-since'] !== undefined) return bypass('precondition')
  const authorized = headers.authorization !== undefined && !keyed
  // Where a ttl stands in for what responses say, they say nothing of whom they are for.
  if (authorized && explicit) return bypass('authorization')
  const directives = parseCacheControl(headers['cache-control'])
  if (directives.has('no-store')) return bypass('request-no-store')
  const pragma = headers['cache-control'] === undefined && headers.pragma !== undefined
  const maxAge = seconds(directives, 'max-age')
  const staleness = directives.get('max-stale')
  return {
    use: 'store',
    // The answer to HEAD has no body, and the answer to a range only a part of it: neither may stand for a GET.
    write: method === 'GET' && headers.range === undefined,
    publicOnly: authorized || (headers.cookie !== undefined && !keyed && !ignoreCookies),
    authorized,
    asked: {
      reload: directives.has('no-cache') || maxAge === 0 || (pragma && /no-cache/i.test(`${headers.pragma}`)),
      maxAge,
      minFresh: seconds(directives, 'min-fresh'),
      maxStale:
        directives.has('max-stale') && staleness === undefined
          ? Number.POSITIVE_INFINITY
          : seconds(directives, 'max-stale'),
      onlyIfCached: directives.has('only-if-cached'),
    },
  }
}
