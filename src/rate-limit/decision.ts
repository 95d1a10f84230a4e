import type { FallbackReason } from '../redis/index.js'
import type { Policy } from './policy.js'
import { isShort, STATUS } from './reply.js'

/** What one policy says about a caller after this request. */
export interface PolicyState {
  readonly name: string
  readonly limit: number
  readonly windowMs: number
  /** Points used in the current window. */
  readonly used: number
  readonly remaining: number
  /** Until any used point is free again; 0 where none is used. */
  readonly resetMs: number
  /** Until this request's cost would fit; 0 where it does. */
  readonly retryAfterMs: number
}

/** How a request (or a call of `consume`) ended. */
export interface RateLimitDecision {
  readonly allowed: boolean
  /** Refused by a block (`blockDuration`, `block()`), not by a policy alone. */
  readonly blocked: boolean
  /** `local`: known to be refused without asking. `memory`, `none`: Redis is away. */
  readonly source: 'redis' | 'local' | 'memory' | 'none'
  /** Redis could not be asked, and `onUnavailable` decided. */
  readonly degraded: boolean
  /** Why Redis could not be asked. */
  readonly reason?: FallbackReason
  readonly policies: readonly PolicyState[]
  /** The policy with the least left, or with the longest wait where the request was refused. */
  readonly tightest: PolicyState
  /** Milliseconds after which trying again can succeed; 0 where it was allowed. */
  readonly retryAfterMs: number
  /** When it was decided, in ms since the epoch: Redis' clock where Redis decided. */
  readonly at: number
}

const HEAD = 4

/** Reads the reply of the decision script. */
export function decisionOf(reply: readonly number[], policies: readonly Policy[]): RateLimitDecision {
  const states: PolicyState[] = []
  if (isShort(reply, policies.length)) {
    for (let at = 1, index = 0; index < policies.length; at += 2, index++) {
      states.push(stateOf(policies[index] as Policy, reply[at] ?? 0, 0, reply[at + 1] ?? 0))
    }
    return conclude(true, false, 0, states, 'redis', reply[0] ?? 0)
  }
  const [status = STATUS.allowed, at = 0, block = 0] = reply
  for (let from = HEAD, index = 0; index < policies.length; from += 3, index++) {
    states.push(stateOf(policies[index] as Policy, reply[from] ?? 0, reply[from + 1] ?? 0, reply[from + 2] ?? 0))
  }
  return conclude(status === STATUS.allowed, status === STATUS.blocked, block, states, 'redis', at)
}

export function stateOf(policy: Policy, used: number, retryAfterMs: number, resetMs: number): PolicyState {
  const { name, limit, windowMs } = policy
  return { name, limit, windowMs, used, remaining: Math.max(0, limit - used), resetMs, retryAfterMs }
}

export function conclude(
  allowed: boolean,
  blocked: boolean,
  blockMs: number,
  policies: readonly PolicyState[],
  source: RateLimitDecision['source'],
  at: number,
): RateLimitDecision {
  const tightest = tightestOf(policies, allowed)
  return {
    allowed,
    blocked,
    source,
    degraded: source === 'memory',
    policies,
    tightest,
    retryAfterMs: allowed ? 0 : Math.max(1, blocked ? blockMs : tightest.retryAfterMs),
    at,
  }
}

/** A refusal as it stands some time after Redis gave it. */
export function remembered(decision: RateLimitDecision, retryAfterMs: number): RateLimitDecision {
  const elapsed = decision.retryAfterMs - retryAfterMs
  const policies = decision.policies.map((policy) => ({
    ...policy,
    resetMs: Math.max(0, policy.resetMs - elapsed),
    retryAfterMs: Math.max(0, policy.retryAfterMs - elapsed),
  }))
  return conclude(false, decision.blocked, retryAfterMs, policies, 'local', decision.at + elapsed)
}

/** Redis is away and nothing counts in its place. */
export function undecided(
  policies: readonly Policy[],
  allowed: boolean,
  reason: FallbackReason,
  now: number,
): RateLimitDecision {
  const states = policies.map((policy) => stateOf(policy, 0, 0, 0))
  const retryAfterMs = allowed ? 0 : UNAVAILABLE_RETRY_MS
  const base = conclude(true, false, 0, states, 'none', now)
  return { ...base, allowed, degraded: true, reason, retryAfterMs }
}

/** Redis is used again within a second of its return. */
const UNAVAILABLE_RETRY_MS = 1000

function tightestOf(policies: readonly PolicyState[], allowed: boolean): PolicyState {
  let tightest = policies[0] as PolicyState
  for (let index = 1; index < policies.length; index++) {
    const policy = policies[index] as PolicyState
    const closer = allowed
      ? policy.remaining / policy.limit < tightest.remaining / tightest.limit
      : policy.retryAfterMs > tightest.retryAfterMs
    if (closer) tightest = policy
  }
  return tightest
}
