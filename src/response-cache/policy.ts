import type { Plan } from './asked.js'
import { fieldNames, seconds } from './cache-control.js'
import { birthOf, directivesOf, guessedLifetime, statedLifetime } from './freshness.js'
import { type HeaderList, valuesOf } from './headers.js'
import type { Stale } from './stored.js'
import { parseVary } from './vary.js'

/** Why a response is not stored. */
export type Refusal =
  | 'status'
  | 'set-cookie'
  | 'no-store'
  | 'no-cache'
  | 'private'
  | 'cookie'
  | 'authorization'
  | 'vary'
  | 'event-stream'
  | 'trailer'
  | 'cors'
  | 'nonce'
  | 'no-lifetime'
  | 'too-large'
  | 'aborted'
  | 'length'
  | 'superseded'
  | 'replaced'
  | 'only-if-cached'

/** A response as its handler made it. */
export interface HeadFacts {
  readonly status: number
  readonly headers: HeaderList
  /** Those that would be stored. */
  readonly kept: HeaderList
  readonly now: number
}

/** What the route says of its responses. */
export interface RouteFacts {
  /** Freshness the route declares, in ms; without it only what the response says. */
  readonly ttl: number | undefined
  /** The route's word against `no-store`, `private` and `no-cache` of the response. */
  readonly override?: boolean
  /** Guess the lifetime of responses that state none. */
  readonly heuristics?: boolean
  /** Without a ttl: errors that state their freshness mean it. */
  readonly storeErrors?: boolean
  /** Where the response does not say it itself, in ms. */
  readonly staleWhileRevalidate?: number | undefined
  readonly staleIfError?: number | undefined
}

export interface Keeping {
  readonly store: true
  /** From now. 0: to be validated before each use. */
  readonly lifetimeMs: number
  readonly birth: number
  /** Kept this long after it is no longer fresh. */
  readonly afterlifeMs: number
  readonly stale: Stale
  readonly isPublic: boolean
  /** Headers that must not be stored (RFC 9111 §5.2.2.4, §5.2.2.7). */
  readonly without: readonly string[]
}

export type Storing = Keeping | { readonly store: false; readonly reason: Refusal }

/** Final answers of the resource itself. Redirects that depend on a log-in, errors, 206 and 304 are not among them. */
const STORABLE: ReadonlySet<number> = new Set([200, 203, 204, 301, 308])
/** Errors that are the same for everyone who asks for that URL (RFC 9110 §15.1). */
const LASTING_ERRORS: ReadonlySet<number> = new Set([404, 405, 410, 414, 501])
/** Never stored: partial, or about one request (RFC 9110 §15.3.7, §15.4.5; RFC 6585 §3 to §6). */
const NEVER: ReadonlySet<number> = new Set([206, 304, 407, 421, 425, 428, 429, 431, 511])
/** Status codes whose caching this cache knows about (RFC 9111 §5.2.2.3). */
const UNDERSTOOD: ReadonlySet<number> = new Set([
  ...[200, 203, 204, 300, 301, 302, 303, 307, 308],
  ...[400, 401, 403, 404, 405, 410, 414, 500, 501, 502, 503, 504],
])

const CSP = ['content-security-policy', 'content-security-policy-report-only'] as const
/** Documents in which a browser runs what carries the right nonce. */
const DOCUMENT = /^\s*(?:text\/html|application\/xhtml\+xml|image\/svg\+xml)/i

const MINUTE = 60_000
const refuse = (reason: Refusal): Storing => ({ store: false, reason })

/** Whether a response may be kept, and for how long (RFC 9111 §3). */
export function storing(
  facts: HeadFacts,
  { publicOnly, authorized }: Pick<Plan, 'publicOnly' | 'authorized'>,
  route: RouteFacts,
): Storing {
  const { status, headers, kept, now } = facts
  const { ttl, override = false, storeErrors } = route
  if (status < 200 || NEVER.has(status)) return refuse('status')
  // A declared ttl is for answers; what else is worth storing has to say so itself.
  if (ttl !== undefined && !STORABLE.has(status)) return refuse('status')
  // An error handler answers with what was set before it: the freshness of a page, on its failure.
  if (status >= 400 && !LASTING_ERRORS.has(status) && storeErrors !== true) return refuse('status')
  if (valuesOf(headers, 'set-cookie').length > 0) return refuse('set-cookie')
  const directives = directivesOf(headers)
  const mustUnderstand = directives.has('must-understand')
  if (mustUnderstand && !UNDERSTOOD.has(status)) return refuse('status')
  if (directives.has('no-store') && !mustUnderstand && !override) return refuse('no-store')
  const without: string[] = []
  let mustValidate = false
  for (const name of ['private', 'no-cache'] as const) {
    if (!directives.has(name) || override) continue
    const names = fieldNames(directives, name)
    if (names !== undefined) without.push(...names)
    else if (name === 'private' || ttl !== undefined) return refuse(name)
    else mustValidate = true
  }
  if (valuesOf(headers, 'content-type').some((type) => /^\s*text\/event-stream/i.test(type)))
    return refuse('event-stream')
  if (valuesOf(headers, 'trailer').length > 0) return refuse('trailer')
  // Given to everyone, a nonce is no secret; and one that an earlier middleware makes anew would not be the page's.
  const documents = valuesOf(headers, 'content-type').some((type) => DOCUMENT.test(type))
  if (documents && CSP.some((name) => valuesOf(headers, name).some((value) => /'nonce-/i.test(value))))
    return refuse('nonce')
  const vary = parseVary(valuesOf(headers, 'vary'))
  if (vary === '*') return refuse('vary')
  // An origin that was echoed is the permission of one site, not of the next.
  const allowed = valuesOf(kept, 'access-control-allow-origin')
  if (allowed.some((origin) => origin.trim() !== '*') && !vary.includes('origin')) return refuse('cors')
  const isPublic = directives.has('public') || directives.has('s-maxage')
  // RFC 9111 §3.5
  if (authorized && !isPublic && !directives.has('must-revalidate')) return refuse('authorization')
  if (publicOnly && !authorized && !isPublic && !vary.includes('cookie')) return refuse('cookie')

  const birth = birthOf(headers, now)
  const hasValidator = ['etag', 'last-modified'].some((name) => valuesOf(headers, name).length > 0)
  const lifetimeMs = mustValidate ? 0 : lifetimeOf(facts, route, directives, birth)
  if (lifetimeMs <= 0 && !(ttl === undefined && hasValidator && STORABLE.has(status)))
    return refuse(mustValidate ? 'no-cache' : 'no-lifetime')
  const stale = staleness(route, directives, mustValidate)
  const retention =
    ttl === undefined && (hasValidator || stale.allowed) ? Math.min(60 * MINUTE, Math.max(MINUTE, lifetimeMs)) : 0
  return {
    store: true,
    lifetimeMs: Math.max(0, lifetimeMs),
    birth: birth ?? now,
    afterlifeMs: Math.max(retention, stale.whileRevalidateMs, stale.ifErrorMs),
    stale,
    isPublic: isPublic || (authorized && directives.has('must-revalidate')),
    without,
  }
}

/**
 * A declared ttl is to this cache what s-maxage is (RFC 9111 §5.2.2.10): it stands above max-age and Expires, which
 * then speak to browsers, and only an s-maxage of the response shortens it.
 */
function lifetimeOf(
  { status, headers, now }: HeadFacts,
  { ttl, heuristics = false }: RouteFacts,
  directives: ReadonlyMap<string, string | undefined>,
  birth: number | undefined,
): number {
  const shared = seconds(directives, 's-maxage')
  if (ttl !== undefined && shared === undefined) return ttl
  const guessed = heuristics ? guessedLifetime(status, headers, directives, now) : undefined
  const stated = statedLifetime(headers, directives, now) ?? guessed ?? 0
  // A response that was old when it came here (a proxied one) has only the rest of its life.
  return birth === undefined ? 0 : Math.min(birth + stated - now, ttl ?? Number.POSITIVE_INFINITY)
}

/** RFC 9111 §4.2.4, RFC 5861. */
function staleness(
  { staleWhileRevalidate = 0, staleIfError = 0, ttl }: RouteFacts,
  directives: ReadonlyMap<string, string | undefined>,
  mustValidate: boolean,
): Stale {
  const strict =
    mustValidate || ['must-revalidate', 'proxy-revalidate', 's-maxage'].some((name) => directives.has(name))
  if (strict) return { allowed: false, whileRevalidateMs: 0, ifErrorMs: 0, ifGone: false }
  const ms = (name: string, otherwise: number) =>
    directives.has(name) ? (seconds(directives, name) ?? 0) * 1000 : otherwise
  return {
    allowed: true,
    whileRevalidateMs: ms('stale-while-revalidate', staleWhileRevalidate),
    ifErrorMs: ms('stale-if-error', staleIfError),
    ifGone: ttl === undefined,
  }
}
