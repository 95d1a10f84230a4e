import type { ServerResponse } from 'node:http'
import { addressOf } from '../shared/address.js'
import { type Duration, toMs } from '../shared/duration.js'
import { ConfigurationError } from '../shared/errors.js'
import { aBlockDuration } from './block.js'
import { type Caller, keyFor, principalOf } from './caller.js'
import { Core, type Taken } from './core.js'
import { type RateLimitDecision, remembered } from './decision.js'
import type { Refused } from './deny-cache.js'
import { isTighter, RateLimitInfo } from './info.js'
import type { HttpOptions } from './options.js'
import { costOf } from './plan.js'
import type { Policy } from './policy.js'
import { authenticatedUser, idText, networkOfRequest, type Principal, RateLimitKeyError } from './principal.js'
import { proxyAdvice } from './proxy-advice.js'
import { forbidden, refusalOf } from './refusal.js'
import type { RequestLike } from './request.js'
import { reset } from './resets.js'
import { type Prepared, prepare, refuse, send, sendRefusal, setFields } from './respond.js'
import { refundUnless } from './settle.js'

type Next = (error?: unknown) => void

/** What is decided about a request: who pays, by which policies, how much. */
interface Plan {
  readonly principal: Principal
  readonly key: string
  readonly policies: readonly Policy[]
  readonly cost: number
}

/** Limiters that a request has passed. */
interface Passed {
  readonly owner: object
  readonly key: string
  readonly unnamed: boolean
}

const passed: unique symbol = Symbol('holdfast.rate-limit.passed')

interface Marked {
  rateLimit?: RateLimitInfo
  [passed]?: Passed[]
}

export interface HttpLimiter<Req, Res> {
  readonly name: string
  handle(req: Req, res: Res, next: Next): void
  peek(caller: Caller): Promise<RateLimitDecision>
  reset(caller: Caller): Promise<boolean>
  block(caller: Caller, duration: Duration): Promise<void>
}

export function createHttpLimiter<Req extends RequestLike, Res extends ServerResponse>(
  options: HttpOptions<Req, Res>,
): HttpLimiter<Req, Res> {
  const { redis, name, unnamed, policies, cost, ipv6PrefixLength, shadow, headers, handler, count } = options
  const naming = { redis, name, keySecret: options.keySecret, ipv6PrefixLength }
  const stand = typeof policies === 'function' ? undefined : policies
  const core = new Core({
    redis,
    name,
    policy: (stand ?? STAND_IN)[0] as Policy,
    keyOf: (key) => keyFor(naming, { type: 'key', id: key }),
    block: options.block,
    onUnavailable: options.onUnavailable,
    instances: options.instances,
    remembered: options.remembered,
    refunds: count !== 'all',
  })
  const advise = proxyAdvice(redis)
  const { key: keyOption, user, skip, allowed, denied } = options
  const isStatic =
    stand !== undefined &&
    typeof cost === 'number' &&
    [keyOption, user, skip, allowed, denied].every((option) => option === undefined)

  function principalOfRequest(req: Req, userId: string | undefined): Principal {
    if (userId !== undefined) return { type: 'user', id: userId }
    advise(req)
    const network = networkOfRequest(req, ipv6PrefixLength)
    if (network === undefined) throw new RateLimitKeyError('the request has neither a user nor an address to count for')
    return { type: 'address', id: network }
  }

  function handle(req: Req, res: Res, next: Next): void {
    if (hasPassed(req, core, undefined)) return next()
    if (!isStatic)
      return void plan(req, res).then((it) => (it === undefined ? next() : it && act(it, req, res, next)), next)
    const principal = principalOfRequest(req, textOf(authenticatedUser(req)))
    act({ principal, key: keyFor(naming, principal), policies: stand, cost }, req, res, next)
  }

  /** `undefined`: not limited. `false`: answered already. */
  async function plan(req: Req, res: Res): Promise<Plan | undefined | false> {
    if ((await skip?.(req)) === true || (await allowed?.(req)) === true) return undefined
    if ((await denied?.(req)) === true) {
      report(req, 'deny-list', { retryAfterMs: 0, blocked: true }, 0, principalOfRequest(req, undefined))
      if (shadow) return undefined
      if (!res.headersSent) sendRefusal(res, forbidden(req.headers.accept))
      return false
    }
    const own = idText('"key"', await keyOption?.(req))
    const userId = own === undefined ? userText(await user?.(req), req) : undefined
    const principal: Principal = own === undefined ? principalOfRequest(req, userId) : { type: 'key', id: own }
    return {
      principal,
      key: keyFor(naming, principal),
      policies: typeof policies === 'function' ? await policies(req) : policies,
      cost: typeof cost === 'function' ? await costOf(cost, req) : cost,
    }
  }

  function userText(given: unknown, req: Req): string | undefined {
    return user === undefined ? textOf(authenticatedUser(req)) : idText('"user"', given)
  }

  function act(it: Plan, req: Req, res: Res, next: Next): void {
    if (unnamed && hasPassed(req, undefined, it.key)) return next()
    const known = core.known(it.key, it.policies, it.cost)
    if (known !== undefined) return answerKnown(known, req, res, next)
    mark(req, { owner: core, key: it.key, unnamed })
    core.take(it.key, it.policies, it.cost).then((taken) => answer(it, taken, req, res, next), next)
  }

  function answer(it: Plan, { decision, repeated }: Taken, req: Req, res: Res, next: Next): void {
    if (res.headersSent) return next()
    const tightest = note(req, decision)
    if (decision.source !== 'none') setFields(res, headers, decision, tightest)
    if (decision.allowed) {
      if (count !== 'all' && decision.source !== 'none') giveBack(it, decision, req, res)
      return next()
    }
    if (decision.source !== 'none') report(req, decision.tightest.name, decision, repeated, it.principal)
    if (shadow) return next()
    if (handler === undefined) return refuse(res, decision, req.headers.accept)
    refuseWith(decision, req, res, next)
  }

  /** The caller was refused a moment ago: everything but the second is known. */
  function answerKnown(known: Refused, req: Req, res: Res, next: Next): void {
    known.repeated++
    if (shadow) return next()
    const left = Math.max(1, known.freeAt - performance.now())
    const second = Math.ceil(left / 1000)
    if (known.second !== second) {
      known.second = second
      known.prepared = remembered(known.decision, Math.ceil(left))
    }
    const decision = known.prepared as RateLimitDecision
    const tightest = note(req, decision)
    if (handler === undefined && !res.hasHeader('RateLimit-Policy')) {
      return send(res, prepared(decision, req.headers.accept))
    }
    setFields(res, headers, decision, tightest)
    if (handler === undefined) return refuse(res, decision, req.headers.accept)
    refuseWith(decision, req, res, next)
  }

  const ready = new WeakMap<RateLimitDecision, Prepared>()

  function prepared(decision: RateLimitDecision, accept: string | undefined): Prepared {
    if (accept?.includes('text/')) return prepare(decision, headers, refusalOf(decision, accept))
    let it = ready.get(decision)
    if (it === undefined) {
      it = prepare(decision, headers, refusalOf(decision, undefined))
      ready.set(decision, it)
    }
    return it
  }

  function refuseWith(decision: RateLimitDecision, req: Req, res: Res, next: Next): void {
    res.statusCode = decision.source === 'none' ? 503 : 429
    res.setHeader('Retry-After', String(Math.max(1, Math.ceil(decision.retryAfterMs / 1000))))
    new Promise((resolve) => resolve(handler?.(req, res, next, decision))).catch(next)
  }

  function giveBack(it: Plan, decision: RateLimitDecision, req: Req, res: Res): void {
    refundUnless(
      res,
      (finished) => {
        const failed = !finished || options.isFailure(req, res)
        return count === 'failures' ? failed : !failed
      },
      () => void core.refund(it.key, it.policies, it.cost, decision),
      () =>
        redis.warn('HOLDFAST_RATE_LIMIT_IS_FAILURE', `"isFailure" of limiter "${name}" threw; the request was counted`),
    )
  }

  function report(
    req: Req,
    policy: string,
    { retryAfterMs, blocked }: Pick<RateLimitDecision, 'retryAfterMs' | 'blocked'>,
    repeated: number,
    principal: Principal,
  ): void {
    if (!redis.listens('limit.exceeded')) return
    const address = addressOf(req)
    redis.emit('limit.exceeded', {
      limiter: name,
      policy,
      ...(address === undefined ? {} : { address }),
      ...(principal.type === 'user' ? { user: principal.id } : {}),
      ...(req.method === undefined ? {} : { method: req.method }),
      ...(req.path === undefined ? {} : { path: `${req.baseUrl ?? ''}${req.path}` }),
      retryAfterMs,
      blocked,
      repeated,
      shadow,
    })
  }

  function note(req: Req, decision: RateLimitDecision): boolean {
    const marked = req as Marked
    const before = marked.rateLimit
    if (before instanceof RateLimitInfo && !isTighter(decision, before.decision)) return false
    marked.rateLimit = new RateLimitInfo(name, decision)
    return true
  }

  const keyOfCaller = (operation: string, caller: Caller): string =>
    keyFor(naming, principalOf(`${name}.${operation}`, caller, ipv6PrefixLength))

  return {
    name,
    handle,
    async peek(caller) {
      return core.engine.operate('peek', keyOfCaller('peek', caller), stand ?? [], 1)
    },
    async reset(caller) {
      const key = keyOfCaller('reset', caller)
      core.forget(key)
      return reset(redis, name, key)
    },
    async block(caller, duration) {
      if (!aBlockDuration.accepts(duration)) {
        throw new ConfigurationError(`${name}.block`, 'duration', `must be ${aBlockDuration.expected}`)
      }
      await core.engine.operate('block', keyOfCaller('block', caller), [], 0, toMs(duration))
    },
  }
}

const STAND_IN: readonly Policy[] = [
  { name: 'computed', kind: 0, limit: 1, windowMs: 1000, quantumMs: 1, cost: undefined },
]

function textOf(id: string | number | undefined): string | undefined {
  return id === undefined ? undefined : String(id)
}

function hasPassed(req: object, owner: object | undefined, key: string | undefined): boolean {
  const list = (req as Marked)[passed]
  if (list === undefined) return false
  return list.some((it) => it.owner === owner || (key !== undefined && it.unnamed && it.key === key))
}

function mark(req: object, it: Passed): void {
  const marked = req as Marked
  const list = marked[passed]
  if (list === undefined) marked[passed] = [it]
  else list.push(it)
}
