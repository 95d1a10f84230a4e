import type { ServerResponse } from 'node:http'
import type { RedisManager } from '../redis/index.js'
import { isAddressRange } from '../shared/address.js'
import type { Awaitable } from '../shared/awaitable.js'
import type { Duration } from '../shared/duration.js'
import { ConfigurationError } from '../shared/errors.js'
import {
  aFunction,
  aManager,
  anInteger,
  arrayOf,
  checkOptions,
  either,
  oneOf,
  type Rule,
  type Rules,
  requireOptions,
} from '../shared/options.js'
import { aBlockDuration, anEscalation, type BlockEscalation, blockRule } from './block.js'
import type { RateLimitDecision } from './decision.js'
import type { BlockRule } from './engine.js'
import type { RateLimitHeaders } from './headers.js'
import { derivedName, listOf, refuseBoth, severalPolicies, singlePolicy } from './plan.js'
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
} from './policy.js'
import { aKeySecret } from './principal.js'
import type { RequestLike } from './request.js'

type Id = string | number | undefined

/** The options of the middleware for any kind of request; `middleware.ts` documents them for Express. */
export interface GivenOptions<Req, Res> {
  readonly redis: RedisManager
  readonly limit?: number | ((req: Req) => Awaitable<number>) | undefined
  readonly window?: Duration | undefined
  readonly policies?: readonly RateLimitPolicy[] | ((req: Req) => Awaitable<readonly RateLimitPolicy[]>) | undefined
  readonly algorithm?: RateLimitAlgorithm | undefined
  readonly cost?: number | ((req: Req) => Awaitable<number>) | undefined
  readonly name?: string | undefined
  readonly key?: ((req: Req) => Awaitable<Id>) | undefined
  readonly user?: ((req: Req) => Awaitable<Id>) | false | undefined
  readonly ipv6PrefixLength?: number | undefined
  readonly keySecret?: string | undefined
  readonly skip?: ((req: Req) => Awaitable<boolean>) | undefined
  readonly allowList?: readonly string[] | ((req: Req) => Awaitable<boolean>) | undefined
  readonly denyList?: readonly string[] | ((req: Req) => Awaitable<boolean>) | undefined
  readonly blockDuration?: Duration | undefined
  readonly escalation?: BlockEscalation | undefined
  readonly count?: 'all' | 'failures' | 'successes' | undefined
  readonly isFailure?: ((req: Req, res: Res) => boolean) | undefined
  readonly mode?: 'enforce' | 'shadow' | undefined
  readonly headers?: RateLimitHeaders | readonly RateLimitHeaders[] | false | undefined
  readonly handler?:
    | ((req: Req, res: Res, next: (error?: unknown) => void, decision: RateLimitDecision) => unknown)
    | undefined
  readonly onUnavailable?: 'allow' | 'memory' | 'deny' | undefined
  readonly instances?: number | undefined
  readonly remembered?: number | undefined
}

/** Options checked, with every default in its place. */
export interface HttpOptions<Req, Res> {
  readonly redis: RedisManager
  readonly name: string
  /** The limiter was given no name: another one with the same limits is the same limiter. */
  readonly unnamed: boolean
  /** One list for all requests, or how to find each request's. */
  readonly policies: readonly Policy[] | ((req: Req) => Promise<readonly Policy[]>)
  readonly cost: number | ((req: Req) => Awaitable<number>)
  readonly key: ((req: Req) => Awaitable<Id>) | undefined
  readonly user: ((req: Req) => Awaitable<Id>) | false | undefined
  readonly ipv6PrefixLength: number
  readonly keySecret: string | undefined
  readonly skip: ((req: Req) => Awaitable<boolean>) | undefined
  readonly allowed: ((req: Req) => Awaitable<boolean>) | undefined
  readonly denied: ((req: Req) => Awaitable<boolean>) | undefined
  readonly block: BlockRule
  readonly count: 'all' | 'failures' | 'successes'
  readonly isFailure: (req: Req, res: Res) => boolean
  readonly shadow: boolean
  readonly headers: readonly RateLimitHeaders[]
  readonly handler: GivenOptions<Req, Res>['handler']
  readonly onUnavailable: 'allow' | 'memory' | 'deny'
  readonly instances: number
  readonly remembered: number
}

const aStyle = oneOf('draft-11', 'draft-7', 'draft-6', 'legacy')
const aList: Rule = either(arrayOf({ expected: 'addresses and CIDR networks', accepts: isAddressRange }), aFunction)

const rules: Rules<GivenOptions<never, never>> = {
  redis: aManager,
  limit: either(aLimit, aFunction),
  window: aWindow,
  policies: either({ expected: 'an array of policies', accepts: Array.isArray }, aFunction),
  algorithm: anAlgorithm,
  cost: either(aCost, aFunction),
  name: aName,
  key: aFunction,
  user: either(aFunction, oneOf(false)),
  ipv6PrefixLength: anInteger(32, 128),
  keySecret: aKeySecret,
  skip: aFunction,
  allowList: aList,
  denyList: aList,
  blockDuration: aBlockDuration,
  escalation: anEscalation,
  count: oneOf('all', 'failures', 'successes'),
  isFailure: aFunction,
  mode: oneOf('enforce', 'shadow'),
  headers: {
    expected: `${aStyle.expected}, a list with at most one draft, or false`,
    accepts: (value) =>
      value === false ||
      aStyle.accepts(value) ||
      (Array.isArray(value) &&
        value.every(aStyle.accepts) &&
        new Set(value).size === value.length &&
        value.filter((style) => style !== 'legacy').length <= 1),
  },
  handler: aFunction,
  onUnavailable: oneOf('allow', 'memory', 'deny'),
  instances: anInteger(1, 100_000),
  remembered: anInteger(0, 10_000_000),
}

export function resolveOptions<Req extends RequestLike, Res extends ServerResponse>(
  owner: string,
  options: GivenOptions<Req, Res>,
): HttpOptions<Req, Res> {
  checkOptions(owner, options, rules as Rules<GivenOptions<Req, Res>>)
  requireOptions(owner, options, rules as Rules<GivenOptions<Req, Res>>, 'redis')
  const {
    redis,
    limit = 100,
    window = '1m',
    policies,
    algorithm = 'sliding',
    cost = 1,
    key,
    user,
    ipv6PrefixLength = 64,
    keySecret,
    skip,
    allowList,
    denyList,
    blockDuration,
    escalation,
    count = 'all',
    isFailure = (_req: Req, res: Res) => res.statusCode >= 400,
    mode = 'enforce',
    headers = ['draft-11', 'legacy'],
    handler,
    onUnavailable = 'allow',
    instances = 1,
    remembered = 10_000,
  } = options
  refuseBoth(owner, options)
  if (typeof policies === 'function' && options.name === undefined) {
    throw new ConfigurationError(owner, 'name', 'is required where "policies" is a function')
  }
  const resolved =
    policies === undefined
      ? singlePolicy<Req>(options.name ?? nameFor(labelOf(limit), window), limit, window, algorithm)
      : severalPolicies<Req>(owner, policies, algorithm)
  const { name = derivedName(typeof policies === 'function' ? undefined : policies, labelOf(limit), window) } = options
  if (typeof cost === 'number' && typeof resolved !== 'function') {
    const short = resolved.find((policy) => (policy.cost ?? cost) > policy.limit)
    if (short !== undefined) {
      throw new ConfigurationError(owner, 'cost', `must be at most the limit of ${short.limit}, got ${cost}`)
    }
  }
  return {
    redis,
    name,
    unnamed: options.name === undefined,
    policies: resolved,
    cost,
    key,
    user,
    ipv6PrefixLength,
    keySecret,
    skip,
    allowed: listOf(allowList),
    denied: listOf(denyList),
    block: blockRule(owner, blockDuration, escalation),
    count,
    isFailure,
    shadow: mode === 'shadow',
    headers: headers === false ? [] : typeof headers === 'string' ? [headers] : [...headers],
    handler,
    onUnavailable,
    instances,
    remembered,
  }
}

function labelOf(limit: unknown): number | undefined {
  return typeof limit === 'number' ? limit : undefined
}
