import type { PolicyState, RateLimitDecision } from './decision.js'

/**
 * `draft-11`: `RateLimit` and `RateLimit-Policy` as lists (draft-ietf-httpapi-ratelimit-headers-08 to -11). `draft-7`,
 * `draft-6`: their older shapes. `legacy`: `X-RateLimit-Limit`, `-Remaining` and `-Reset` (seconds since the epoch).
 */
export type RateLimitHeaders = 'draft-11' | 'draft-7' | 'draft-6' | 'legacy'

export type Field = readonly [name: string, value: string]

/** The fields of one style. Times are whole seconds, rounded up, so that nobody comes back too early. */
export function fieldsOf(style: RateLimitHeaders, { policies, tightest, at }: RateLimitDecision): readonly Field[] {
  switch (style) {
    case 'draft-11':
      return [
        ['RateLimit-Policy', policies.map(describe).join(', ')],
        ['RateLimit', policies.map(({ name, remaining, resetMs }) => service(name, remaining, resetMs)).join(', ')],
      ]
    case 'draft-7':
      return [
        ['RateLimit-Policy', policies.map(window).join(', ')],
        ['RateLimit', `limit=${tightest.limit}, remaining=${tightest.remaining}, reset=${seconds(tightest.resetMs)}`],
      ]
    case 'draft-6':
      return [
        ['RateLimit-Policy', policies.map(window).join(', ')],
        ['RateLimit-Limit', String(tightest.limit)],
        ['RateLimit-Remaining', String(tightest.remaining)],
        ['RateLimit-Reset', String(seconds(tightest.resetMs))],
      ]
    case 'legacy':
      return [
        ['X-RateLimit-Limit', String(tightest.limit)],
        ['X-RateLimit-Remaining', String(tightest.remaining)],
        ['X-RateLimit-Reset', String(Math.ceil((at + tightest.resetMs) / 1000))],
      ]
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
  return windowMs < 1000 ? `"${name}";q=${limit}` : `"${name}";q=${limit};w=${seconds(windowMs)}`
}

/** "t" is the time in which no more than "r" can be used (§4.1.2): until the first used point is free again. */
function service(name: string, remaining: number, resetMs: number): string {
  return `"${name}";r=${remaining};t=${seconds(resetMs)}`
}

function window({ limit, windowMs }: PolicyState): string {
  return `${limit};w=${Math.max(1, seconds(windowMs))}`
}

function seconds(ms: number): number {
  return Math.ceil(ms / 1000)
}
