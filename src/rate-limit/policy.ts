import { type Duration, toMs } from '../shared/duration.js'
import { aDuration, anInteger, anObject, oneOf, type Rule, show } from '../shared/options.js'

/**
 * `sliding`: never more than the limit in any window. `fixed`: windows start at a caller's first request, up to twice
 * the limit around an edge. `gcra`: even spacing after a burst, up to twice the limit in the first window.
 */
export type RateLimitAlgorithm = 'sliding' | 'fixed' | 'gcra'

/** So many points in so long a time. */
export interface RateLimitPolicy {
  /** Shown in `RateLimit` and in problem documents. Letters, digits, `_ . - *`, at most 64. */
  readonly name: string
  /** Points per window. */
  readonly limit: number
  readonly window: Duration
  /** Points per request, instead of the limiter's cost. */
  readonly cost?: number | undefined
}

/** A policy with its numbers worked out. */
export interface Policy {
  readonly name: string
  readonly kind: 0 | 1 | 2
  readonly limit: number
  readonly windowMs: number
  /** Width of a bucket of the log: capacity is freed at most this late. */
  readonly quantumMs: number
  /** Points per request where the limiter's own cost does not apply. */
  readonly cost: number | undefined
}

const MAX_POLICIES = 8
const BUCKETS = 100
const KINDS = { sliding: 0, fixed: 1, gcra: 2 } as const
const NAME = /^[A-Za-z0-9_.\-*]{1,64}$/

export const aLimit: Rule = anInteger(1, 1_000_000_000)
export const aWindow: Rule = aDuration(1)
export const aCost: Rule = anInteger(0, 1_000_000_000)
export const anAlgorithm: Rule = oneOf('sliding', 'fixed', 'gcra')
export const aName: Rule = {
  expected: '1 to 64 letters, digits, "_", ".", "-" or "*"',
  accepts: (value) => typeof value === 'string' && NAME.test(value),
}

/** One problem with a list of policies, or `undefined`. */
export function problemOf(policies: unknown): string | undefined {
  if (!Array.isArray(policies) || policies.length === 0 || policies.length > MAX_POLICIES) {
    return `must be an array of 1 to ${MAX_POLICIES} policies, got ${show(policies)}`
  }
  const names = new Set<string>()
  for (const policy of policies as readonly RateLimitPolicy[]) {
    if (!anObject.accepts(policy)) return `must hold { name, limit, window }, got ${show(policy)}`
    for (const [field, rule] of Object.entries(FIELDS)) {
      const value = policy[field as keyof RateLimitPolicy]
      if (value === undefined && field === 'cost') continue
      if (!rule.accepts(value)) return `must hold policies whose ${field} is ${rule.expected}, got ${show(value)}`
    }
    if ((policy.cost ?? 0) > policy.limit) {
      return `must hold policies whose cost is at most the limit, got ${policy.cost} of ${policy.limit}`
    }
    if (names.has(policy.name)) return `must hold policies with different names, got ${show(policy.name)} twice`
    names.add(policy.name)
  }
  return undefined
}

const FIELDS: Readonly<Record<keyof RateLimitPolicy, Rule>> = {
  name: aName,
  limit: aLimit,
  window: aWindow,
  cost: aCost,
}

/** Call with policies that {@link problemOf} has found nothing wrong with. */
export function toPolicy({ name, limit, window, cost }: RateLimitPolicy, algorithm: RateLimitAlgorithm): Policy {
  const windowMs = toMs(window)
  const exact = algorithm !== 'sliding' || limit <= BUCKETS
  return {
    name,
    kind: KINDS[algorithm],
    limit,
    windowMs,
    quantumMs: exact ? 1 : Math.max(1, Math.ceil(windowMs / BUCKETS)),
    cost,
  }
}

/** A name that says what it limits: `100-in-1m`. */
export function nameFor(limit: number | undefined, window: Duration): string {
  const ms = toMs(window)
  const unit = UNITS.find(([, length]) => ms % length === 0 && ms >= length) ?? ['ms', 1]
  return `${limit ?? 'limit'}-in-${ms / unit[1]}${unit[0]}`
}

const UNITS: readonly (readonly [string, number])[] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
]
