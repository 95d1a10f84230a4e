import type { RateLimiterRedis } from 'rate-limiter-flexible'
import type { RedisManager } from '../redis/index.js'
import type { Duration } from '../shared/duration.js'
import {
  aManager,
  anInteger,
  checkOptions,
  oneOf,
  type Rule,
  type Rules,
  requireOptions,
  show,
} from '../shared/options.js'
import { aBlockDuration, anEscalation, type BlockEscalation, blockRule } from './block.js'
import { type Caller, keyFor, type Naming, principalOf } from './caller.js'
import { Core } from './core.js'
import { type RateLimitDecision, remembered } from './decision.js'
import { createOperations } from './operations.js'
import { derivedName, RateLimitValueError, refuseBoth, severalPolicies, singlePolicy } from './plan.js'
import {
  aCost,
  aLimit,
  aName,
  anAlgorithm,
  aWindow,
  nameFor,
  type Policy,
  type RateLimitAlgorithm,
  type RateLimitPolicy,
  toPolicy,
} from './policy.js'
import { aKeySecret } from './principal.js'

export interface RateLimiterOptions {
  /** The shared Redis manager. */
  readonly redis: RedisManager
  /** Points per window. @default 100 */
  readonly limit?: number | undefined
  /** @default '1m' */
  readonly window?: Duration | undefined
  /** Several limits at once, decided together, all or none; instead of `limit` and `window`. At most 8. */
  readonly policies?: readonly RateLimitPolicy[] | undefined
  /** @default 'sliding' */
  readonly algorithm?: RateLimitAlgorithm | undefined
  /** Part of every key; shared with a middleware of the same name. @default made from the limits */
  readonly name?: string | undefined
  /** A refusal starts a block of this length. @default no blocks */
  readonly blockDuration?: Duration | undefined
  /** Blocks grow for who keeps coming back. @default every block is as long */
  readonly escalation?: BlockEscalation | undefined
  /** While Redis is away: `allow`, count in `memory` of this process, or `deny`. @default 'allow' */
  readonly onUnavailable?: 'allow' | 'memory' | 'deny' | undefined
  /** Processes that share the limit while each counts in memory. @default 1 */
  readonly instances?: number | undefined
  /** IPv6 addresses count by network. 32 to 128. @default 64 */
  readonly ipv6PrefixLength?: number | undefined
  /** Makes every id in a key an HMAC. At least 16 characters. */
  readonly keySecret?: string | undefined
  /** Callers known to be refused, kept in this process; 0 for none. @default 10000 */
  readonly remembered?: number | undefined
}

/** Text and numbers are keys of your own. */
export type CallerKey = string | number | Caller

export interface RateLimitCheck {
  readonly allowed: boolean
  readonly limit: number
  readonly remaining: number
  /** When a point is free again; where refused, when trying again can succeed. */
  readonly resetAt: Date
}

/** A limiter without requests: for sockets, jobs, log-ins, messages. */
export interface RateLimiter {
  readonly name: string
  /** Takes points where all policies have them. Never rejects because of Redis: `onUnavailable` decides. */
  consume(key: CallerKey, cost?: number): Promise<RateLimitDecision>
  /** Takes one point of a limit given on the spot. Never rejects because of Redis. @default the limiter's own limit */
  check(key: CallerKey, limit?: number, window?: Duration): Promise<RateLimitCheck>
  /** How a caller stands, without counting. Rejects while Redis is away. */
  peek(key: CallerKey): Promise<RateLimitDecision>
  /** Forgets a caller's points and blocks, in every process. Rejects while Redis is away. */
  reset(key: CallerKey): Promise<boolean>
  /** Refuses a caller for a time. Rejects while Redis is away. */
  block(key: CallerKey, duration: Duration): Promise<void>
  /** Gives back points, those taken last first. Rejects while Redis is away. @default 1 */
  reward(key: CallerKey, points?: number): Promise<void>
  /** The same limiter as one of rate-limiter-flexible, for its queue and wrappers. Fails closed. */
  readonly flexible: RateLimiterRedis
  /** Stops listening for resets. The manager stays open. */
  close(): void
}

const rules: Rules<RateLimiterOptions> = {
  redis: aManager,
  limit: aLimit,
  window: aWindow,
  policies: { expected: 'an array of policies', accepts: Array.isArray },
  algorithm: anAlgorithm,
  name: aName,
  blockDuration: aBlockDuration,
  escalation: anEscalation,
  onUnavailable: oneOf('allow', 'memory', 'deny'),
  instances: anInteger(1, 100_000),
  ipv6PrefixLength: anInteger(32, 128),
  keySecret: aKeySecret,
  remembered: anInteger(0, 10_000_000),
}

const OWNER = 'createRateLimiter'

/**
 * A limiter to call yourself. Throws a `ConfigurationError` for options out of their range.
 *
 * @example
 * ```ts
 * import { createRateLimiter, createRedisManager } from 'holdfast'
 *
 * const mails = createRateLimiter({ redis: createRedisManager(), name: 'mails', limit: 20, window: '1h' })
 *
 * export async function sendMail(userId: string, send: () => Promise<void>): Promise<boolean> {
 *   const { allowed } = await mails.consume({ user: userId })
 *   if (allowed) await send()
 *   return allowed
 * }
 * ```
 */
export function createRateLimiter(options: RateLimiterOptions): RateLimiter {
  checkOptions(OWNER, options, rules)
  requireOptions(OWNER, options, rules, 'redis')
  refuseBoth(OWNER, options)
  const {
    redis,
    limit = 100,
    window = '1m',
    algorithm = 'sliding',
    onUnavailable = 'allow',
    instances = 1,
    ipv6PrefixLength = 64,
    keySecret,
    remembered: most = 10_000,
  } = options
  const policies = policiesOf(options, limit, window, algorithm)
  const { name = derivedName(options.policies, limit, window) } = options
  const naming: Naming = { redis, name, keySecret, ipv6PrefixLength }
  const core = new Core({
    redis,
    name,
    naming,
    policies,
    cost: 1,
    shadow: false,
    block: blockRule(OWNER, options.blockDuration, options.escalation),
    onUnavailable,
    instances,
    remembered: most,
    refunds: false,
  })
  const operations = createOperations(core, naming, policies)
  const checks = new Map<string, readonly Policy[]>()

  async function take(key: string, wanted: readonly Policy[], cost: number): Promise<RateLimitDecision> {
    const asked = { key, policies: wanted, cost }
    const refused = core.known(asked)
    if (refused === undefined) return (await core.take(asked)).decision
    return remembered(refused.decision, Math.max(1, Math.ceil(refused.freeAt - performance.now())))
  }

  /** Named by its window: another limit for it counts on, another window counts anew. */
  function checked(each: number, length: Duration): readonly Policy[] {
    const id = `${each}/${length}`
    const known = checks.get(id)
    if (known !== undefined) return known
    demand('limit', aLimit, each)
    demand('window', aWindow, length)
    const policy = toPolicy({ name: 'check', limit: each, window: length }, algorithm)
    const list = [{ ...policy, name: `check-${policy.windowMs}` }]
    if (checks.size >= MAX_CHECKS) checks.clear()
    checks.set(id, list)
    return list
  }

  const keyOf = (operation: string, key: CallerKey): string =>
    keyFor(naming, principalOf(`${operation}() of limiter "${name}"`, callerOf(key), ipv6PrefixLength))

  return {
    name,
    flexible: core.engine,
    async consume(key, cost = 1) {
      demand('cost', aCost, cost)
      return take(keyOf('consume', key), policies, cost)
    },
    async check(key, each, length) {
      const own = each === undefined && length === undefined
      const wanted = own ? policies : checked(each ?? limit, length ?? window)
      const { allowed, tightest, at, retryAfterMs } = await take(keyOf('check', key), wanted, 1)
      const resetAt = new Date(at + (allowed ? tightest.resetMs : retryAfterMs))
      return { allowed, limit: tightest.limit, remaining: tightest.remaining, resetAt }
    },
    peek: async (key) => operations.peek(callerOf(key)),
    reset: async (key) => operations.reset(callerOf(key)),
    block: async (key, duration) => operations.block(callerOf(key), duration),
    async reward(key, points = 1) {
      demand('points', aCost, points)
      await operations.reward(callerOf(key), points)
    },
    close: () => core.close(),
  }
}

const MAX_CHECKS = 1000

function policiesOf(
  options: RateLimiterOptions,
  limit: number,
  window: Duration,
  algorithm: RateLimitAlgorithm,
): readonly Policy[] {
  const given =
    options.policies === undefined
      ? singlePolicy(options.name ?? nameFor(limit, window), limit, window, algorithm)
      : severalPolicies(OWNER, options.policies, algorithm)
  return given as readonly Policy[]
}

function callerOf(key: CallerKey): Caller {
  return typeof key === 'object' ? key : { key }
}

function demand(what: string, rule: Rule, value: unknown): void {
  if (!rule.accepts(value)) throw new RateLimitValueError(what, `must be ${rule.expected}, got ${show(value)}`)
}
