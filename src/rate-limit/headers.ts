import type { PolicyState, RateLimitDecision } from './decision.js'

/**
 * `draft-11`: `RateLimit` and `RateLimit-Policy` as lists (draft-ietf-httpapi-ratelimit-headers-08 to -11). `draft-7`,
 * `draft-6`: their older shapes. `legacy`: `X-RateLimit-Limit`, `-Remaining` and `-Reset` (seconds since the epoch).
 */
export type RateLimitHeaders = 'draft-11' | 'draft-7' | 'draft-6' | 'legacy'

/** The fields of each style, in the order of {@link valuesOf}. */
export const FIELDS: Readonly<Record<RateLimitHeaders, readonly string[]>> = {
  'draft-11': ['RateLimit-Policy', 'RateLimit'],
  'draft-7': ['RateLimit-Policy', 'RateLimit'],
  'draft-6': ['RateLimit-Policy', 'RateLimit-Limit', 'RateLimit-Remaining', 'RateLimit-Reset'],
  legacy: ['X-RateLimit-Limit', 'X-RateLimit-Remaining', 'X-RateLimit-Reset'],
}

/** Times are whole seconds, rounded up, so that nobody comes back too early. */
export function valuesOf(style: RateLimitHeaders, { policies, tightest, at }: RateLimitDecision): readonly string[] {
  const { limit, remaining, resetMs } = tightest
  switch (style) {
    case 'draft-11':
      return policies.length === 1
        ? [describe(tightest), service(tightest)]
        : [policies.map(describe).join(', '), policies.map(service).join(', ')]
    case 'draft-7':
      return [policies.map(window).join(', '), `limit=${limit}, remaining=${remaining}, reset=${seconds(resetMs)}`]
    case 'draft-6':
      return [policies.map(window).join(', '), String(limit), String(remaining), String(seconds(resetMs))]
    case 'legacy':
      return [String(limit), String(remaining), String(seconds(at + resetMs))]
  }
}

/** Fields that are lists of all limiters on a response; the others describe the tightest alone. */
export function isList(style: RateLimitHeaders, field: string): boolean {
  return style === 'draft-11' || field === 'RateLimit-Policy'
}

export function retryAfter(retryAfterMs: number): string {
  return String(Math.max(1, seconds(retryAfterMs)))
}

/** "w" has no fractions (§3.1.3): a window below a second goes unmentioned. */
function describe({ name, limit, windowMs }: PolicyState): string {
  const known = described.get(name)
  if (known !== undefined && known.limit === limit && known.windowMs === windowMs) return known.text
  const text = windowMs < 1000 ? `"${name}";q=${limit}` : `"${name}";q=${limit};w=${seconds(windowMs)}`
  if (described.size >= MAX_KEPT) described.clear()
  described.set(name, { limit, windowMs, text })
  return text
}

/** Policies come again with every request. */
const described = new Map<string, { readonly limit: number; readonly windowMs: number; readonly text: string }>()
const MAX_KEPT = 1000

/** "t" is the time in which no more than "r" can be used (§4.1.2): until the first used point is free again. */
function service({ name, remaining, resetMs }: PolicyState): string {
  return `"${name}";r=${remaining};t=${seconds(resetMs)}`
}

function window({ limit, windowMs }: PolicyState): string {
  return `${limit};w=${Math.max(1, seconds(windowMs))}`
}

function seconds(ms: number): number {
  return Math.ceil(ms / 1000)
}
