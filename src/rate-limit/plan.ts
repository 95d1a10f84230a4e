import { addressMatcher, addressOf } from '../shared/address.js'
import type { Awaitable } from '../shared/awaitable.js'
import type { Duration } from '../shared/duration.js'
import { ConfigurationError, HoldfastError } from '../shared/errors.js'
import { show } from '../shared/options.js'
import {
  aCost,
  aLimit,
  nameFor,
  type Policy,
  problemOf,
  type RateLimitAlgorithm,
  type RateLimitPolicy,
  toPolicy,
} from './policy.js'
import type { RequestLike } from './request.js'

/** What a function of the request returned is no limit, cost or policy. Code `ERR_HOLDFAST_RATE_LIMIT_VALUE`. */
export class RateLimitValueError extends HoldfastError {
  override readonly name = 'RateLimitValueError' as const

  constructor(option: string, problem: string) {
    super('ERR_HOLDFAST_RATE_LIMIT_VALUE', `rateLimit: "${option}" ${problem}`)
  }
}

/** Different limits kept worked out; more than any application has plans. */
const MAX_KEPT = 1000

export function refuseBoth(owner: string, options: { policies?: unknown; limit?: unknown; window?: unknown }): void {
  if (options.policies !== undefined && (options.limit !== undefined || options.window !== undefined)) {
    throw new ConfigurationError(owner, 'policies', 'stands instead of "limit" and "window", not beside them')
  }
}

export async function limitOf<Req>(limit: number | ((req: Req) => Awaitable<number>), req: Req): Promise<number> {
  if (typeof limit === 'number') return limit
  const value = await limit(req)
  if (!aLimit.accepts(value)) {
    throw new RateLimitValueError('limit', `must return ${aLimit.expected}, got ${show(value)}`)
  }
  return value
}

/** One policy whose limit is known, or found for each request. */
export function singlePolicy<Req>(
  name: string,
  limit: number | ((req: Req) => Awaitable<number>),
  window: Duration,
  algorithm: RateLimitAlgorithm,
): readonly Policy[] | ((req: Req) => Promise<readonly Policy[]>) {
  const policyOf = (value: number): readonly Policy[] => [toPolicy({ name, limit: value, window }, algorithm)]
  if (typeof limit === 'number') return policyOf(limit)
  const kept = new Map<number, readonly Policy[]>()
  return async (req) => {
    const value = await limitOf(limit, req)
    const known = kept.get(value)
    if (known !== undefined) return known
    const policies = policyOf(value)
    if (kept.size >= MAX_KEPT) kept.clear()
    kept.set(value, policies)
    return policies
  }
}

/** Several policies, known or found for each request. A list returned again is not checked again. */
export function severalPolicies<Req>(
  owner: string,
  given: readonly RateLimitPolicy[] | ((req: Req) => Awaitable<readonly RateLimitPolicy[]>),
  algorithm: RateLimitAlgorithm,
): readonly Policy[] | ((req: Req) => Promise<readonly Policy[]>) {
  if (typeof given !== 'function') {
    const problem = problemOf(given)
    if (problem !== undefined) throw new ConfigurationError(owner, 'policies', problem)
    return given.map((policy) => toPolicy(policy, algorithm))
  }
  const kept = new WeakMap<readonly RateLimitPolicy[], readonly Policy[]>()
  return async (req) => {
    const list = await given(req)
    const known = typeof list === 'object' && list !== null ? kept.get(list) : undefined
    if (known !== undefined) return known
    const problem = problemOf(list)
    if (problem !== undefined) throw new RateLimitValueError('policies', problem)
    const policies = list.map((policy) => toPolicy(policy, algorithm))
    kept.set(list, policies)
    return policies
  }
}

/** The same limits have the same name in every process. */
export function derivedName(
  policies: readonly RateLimitPolicy[] | undefined,
  limit: number | undefined,
  window: Duration,
): string {
  if (policies === undefined) return nameFor(limit, window)
  return policies
    .map((policy) => `${policy.name}-${nameFor(policy.limit, policy.window)}`)
    .join('.')
    .slice(0, 64)
}

export async function costOf<Req>(cost: (req: Req) => Awaitable<number>, req: Req): Promise<number> {
  const value = await cost(req)
  if (!aCost.accepts(value)) throw new RateLimitValueError('cost', `must return ${aCost.expected}, got ${show(value)}`)
  return value
}

/** A list of addresses as a predicate. */
export function listOf<Req extends RequestLike>(
  list: readonly string[] | ((req: Req) => Awaitable<boolean>) | undefined,
): ((req: Req) => Awaitable<boolean>) | undefined {
  if (list === undefined || typeof list === 'function') return list
  const matches = addressMatcher(list)
  return (req) => matches(addressOf(req))
}
