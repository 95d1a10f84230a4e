import { type Directives, parseCacheControl, seconds } from './cache-control.js'
import { type HeaderList, valuesOf } from './headers.js'
import { parseVary } from './vary.js'

/** Why a request or response takes no part in caching. */
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

export type Refusal =
  | 'status'
  | 'set-cookie'
  | 'no-store'
  | 'no-cache'
  | 'private'
  | 'cookie'
  | 'vary'
  | 'event-stream'
  | 'trailer'
  | 'cors'
  | 'no-lifetime'
  | 'too-large'
  | 'aborted'
  | 'length'
  | 'superseded'

/** What may be asked of the store for a request. */
export type Lookup =
  | { readonly use: 'bypass'; readonly reason: BypassReason }
  /** `publicOnly`: the request carries a cookie that is not part of the key. */
  | { readonly use: 'store'; readonly read: boolean; readonly write: boolean; readonly publicOnly: boolean }

export interface RequestFacts {
  readonly method: string
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  /** The caller's own key covers who is asking. */
  readonly keyed: boolean
  readonly ignoreCookies: boolean
}

const bypass = (reason: BypassReason): Lookup => ({ use: 'bypass', reason })

export function lookup({ method, headers, keyed, ignoreCookies }: RequestFacts): Lookup {
  if (method !== 'GET' && method !== 'HEAD') return bypass('method')
  // A body can change what is answered and is not part of the key (RFC 9110 §9.3.1).
  if (headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) !== 0) {
    return bypass('request-body')
  }
  if (headers.upgrade !== undefined) return bypass('upgrade')
  if (headers['if-match'] !== undefined || headers['if-unmodified-since'] !== undefined) return bypass('precondition')
  if (headers.authorization !== undefined && !keyed) return bypass('authorization')
  const asked = parseCacheControl(headers['cache-control'])
  if (asked.has('no-store')) return bypass('request-no-store')
  const pragma = headers['cache-control'] === undefined && headers.pragma !== undefined
  const reload =
    asked.has('no-cache') || seconds(asked, 'max-age') === 0 || (pragma && /no-cache/i.test(`${headers.pragma}`))
  return {
    use: 'store',
    read: !reload,
    // The answer to HEAD has no body, and the answer to a range only a part of it: neither may stand for a GET.
    write: method === 'GET' && headers.range === undefined,
    publicOnly: headers.cookie !== undefined && !keyed && !ignoreCookies,
  }
}

export interface ResponseFacts {
  readonly status: number
  readonly headers: HeaderList
  /** Those that would be stored. */
  readonly kept: HeaderList
  readonly publicOnly: boolean
  /** Freshness the route declares, in ms; without it only what the response says. */
  readonly ttl: number | undefined
  readonly now: number
}

export type Storing =
  | { readonly store: true; readonly lifetimeMs: number; readonly isPublic: boolean }
  | { readonly store: false; readonly reason: Refusal }

/** Final answers of the resource itself. Redirects that depend on a log-in, errors, 206 and 304 are not among them. */
const STORABLE: ReadonlySet<number> = new Set([200, 203, 204, 301, 308])

const refuse = (reason: Refusal): Storing => ({ store: false, reason })

/** Whether a response may be kept, and for how long (RFC 9111 §3, §4.2.1). */
export function storing({ status, headers, kept, publicOnly, ttl, now }: ResponseFacts): Storing {
  if (!STORABLE.has(status)) return refuse('status')
  if (valuesOf(headers, 'set-cookie').length > 0) return refuse('set-cookie')
  const directives = parseCacheControl(valuesOf(headers, 'cache-control'))
  for (const directive of ['no-store', 'private', 'no-cache'] as const) {
    if (directives.has(directive)) return refuse(directive)
  }
  if (valuesOf(headers, 'content-type').some((type) => /^\s*text\/event-stream/i.test(type)))
    return refuse('event-stream')
  if (valuesOf(headers, 'trailer').length > 0) return refuse('trailer')
  const vary = parseVary(valuesOf(headers, 'vary'))
  if (vary === '*') return refuse('vary')
  // An origin that was echoed is the permission of one site, not of the next.
  const allowed = valuesOf(kept, 'access-control-allow-origin')
  if (allowed.some((origin) => origin.trim() !== '*') && !vary.includes('origin')) return refuse('cors')
  const isPublic = directives.has('public') || directives.has('s-maxage')
  if (publicOnly && !isPublic && !vary.includes('cookie')) return refuse('cookie')
  const lifetimeMs = lifetimeOf(directives, headers, ttl, now)
  if (lifetimeMs <= 0) return refuse('no-lifetime')
  return { store: true, lifetimeMs, isPublic }
}

/**
 * A declared ttl is to this cache what s-maxage is (RFC 9111 §5.2.2.10): it stands above max-age and Expires, which
 * then speak to browsers, and only an s-maxage of the response shortens it.
 */
function lifetimeOf(directives: Directives, headers: HeaderList, ttl: number | undefined, now: number): number {
  const shared = seconds(directives, 's-maxage')
  const stated = ttl === undefined ? (shared ?? seconds(directives, 'max-age') ?? expiresIn(headers, now)) : shared
  if (stated === undefined) return ttl ?? 0
  // A response that was old when it came here (a proxied one) has only the rest of its life.
  const age = valuesOf(headers, 'age')
  const spent = age.length === 0 ? 0 : age.every((each) => /^\d+$/.test(each)) ? Math.max(...age.map(Number)) : stated
  return Math.min((stated - spent) * 1000, ttl ?? Number.POSITIVE_INFINITY)
}

function expiresIn(headers: HeaderList, now: number): number | undefined {
  const expires = valuesOf(headers, 'expires')
  if (expires.length === 0) return undefined
  const at = expires.map((value) => (/^\w{3}, /.test(value) ? Date.parse(value) : Number.NaN))
  return at.some(Number.isNaN) ? 0 : (Math.min(...at) - now) / 1000
}
