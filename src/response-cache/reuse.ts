import type { Asked } from './asked.js'
import type { StoredHead } from './stored.js'

export interface Candidate {
  readonly head: Pick<StoredHead, 'stale' | 'status'>
  /** When the origin made it, and until when it is fresh; ms since the epoch. */
  readonly birth: number
  readonly freshUntil: number
}

/**
 * What a stored response is good for (RFC 9111 §4.2, §5.2.1): `fresh` and `stale` answer the request as they are,
 * `behind` does so while another request renews it (RFC 5861 §3), `validate` only after the handler has been asked.
 */
export type Use = 'fresh' | 'stale' | 'behind' | 'validate'

export function reuse({ head: { stale }, birth, freshUntil }: Candidate, asked: Asked, now: number): Use {
  if (asked.reload) return 'validate'
  if (asked.maxAge !== undefined && now - birth > asked.maxAge * 1000) return 'validate'
  if (asked.minFresh !== undefined && freshUntil - now < asked.minFresh * 1000) return 'validate'
  const over = now - freshUntil
  if (over < 0) return 'fresh'
  if (!stale.allowed) return 'validate'
  if (asked.maxStale !== undefined && over <= asked.maxStale * 1000) return 'stale'
  return over < stale.whileRevalidateMs ? 'behind' : 'validate'
}

/**
 * Whether a stale response stands in for an error of the handler: where `stale-if-error` allows it (RFC 5861 §4), and
 * where a handler that is a gateway is cut off from its origin (RFC 9111 §4.2.4).
 */
export function standsIn(
  { head: { stale, status: stored }, freshUntil }: Candidate,
  status: number,
  now: number,
): boolean {
  if (!stale.allowed || stored >= 400) return false
  if (now - freshUntil < stale.ifErrorMs) return [500, 502, 503, 504].includes(status)
  return stale.ifGone && (status === 502 || status === 504)
}
