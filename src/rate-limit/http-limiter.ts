import type { ServerResponse } from 'node:http'
import { addressOf } from '../shared/address.js'
import type { Duration } from '../shared/duration.js'
import { type Charge, createAttribution } from './attribution.js'
import type { Caller, Naming } from './caller.js'
import { Core, type Taken } from './core.js'
import { type RateLimitDecision, remembered } from './decision.js'
import type { Refused } from './deny-cache.js'
import { hasPassed, hasPassedUnnamed, note, pass } from './once.js'
import { createOperations } from './operations.js'
import type { HttpOptions } from './options.js'
import { forbidden, refusalOf } from './refusal.js'
import { createReport } from './report.js'
import type { RequestLike } from './request.js'
import { type Prepared, prepare, refuse, send, sendRefusal, setFields, setRetryAfter } from './respond.js'
import { refundUnless } from './settle.js'

type Next = (error?: unknown) => void

export interface HttpLimiter<Req, Res> {
  handle(req: Req, res: Res, next: Next): void
  peek(caller: Caller): Promise<RateLimitDecision>
  reset(caller: Caller): Promise<boolean>
  block(caller: Caller, duration: Duration): Promise<void>
}

/** One limiter for requests of any framework that has Express' shape. */
export function createHttpLimiter<Req extends RequestLike, Res extends ServerResponse>(
  options: HttpOptions<Req, Res>,
): HttpLimiter<Req, Res> {
  const { redis, name, unnamed, policies, shadow, headers, handler, count } = options
  const naming: Naming = options
  const known = typeof policies === 'function' ? [] : policies
  const core = new Core({ ...options, policies: known, naming, refunds: count !== 'all' })
  const attribution = createAttribution(options, naming)
  const report = createReport(redis)
  const prepared = new WeakMap<RateLimitDecision, Prepared>()

  function handle(req: Req, res: Res, next: Next): void {
    if (hasPassed(req, core)) return next()
    if (attribution.atOnce !== undefined) return act(attribution.atOnce(req), req, res, next)
    attribution.find(req).then((found) => {
      if (found === 'free') return next()
      if (found === 'denied') return deny(req, res, next)
      act(found, req, res, next)
    }, next)
  }

  function act(charge: Charge, req: Req, res: Res, next: Next): void {
    if (unnamed && hasPassedUnnamed(req, charge.key)) return next()
    const refused = core.known(charge.key, charge.policies, charge.cost)
    if (refused !== undefined) return refuseAgain(refused, req, res, next)
    pass(req, { owner: core, key: charge.key, unnamed })
    core
      .take(charge.key, charge.policies, charge.cost)
      .then((taken) => answer(charge, taken, req, res, next))
      .catch(next)
  }

  function answer(charge: Charge, { decision, repeated }: Taken, req: Req, res: Res, next: Next): void {
    if (res.headersSent) return next()
    const tightest = note(req, name, decision)
    if (decision.source !== 'none') setFields(res, headers, decision, tightest)
    if (decision.allowed) {
      if (count !== 'all' && decision.source !== 'none') giveBack(charge, decision, req, res)
      return next()
    }
    if (decision.source !== 'none') {
      const { blocked, retryAfterMs, tightest: policy } = decision
      const refusal = { limiter: name, policy: policy.name, retryAfterMs, blocked, repeated, shadow }
      report(req, charge.key, charge.principal, refusal)
    }
    if (shadow) return next()
    if (handler === undefined) return refuse(res, decision, req.headers.accept)
    handOver(decision, req, res, next)
  }

  /** The caller was refused a moment ago: all but the seconds left is known. */
  function refuseAgain(refused: Refused, req: Req, res: Res, next: Next): void {
    refused.repeated++
    if (shadow || res.headersSent) return next()
    const left = Math.max(1, refused.freeAt - performance.now())
    const second = Math.ceil(left / 1000)
    if (refused.current === undefined || refused.second !== second) {
      refused.second = second
      refused.current = remembered(refused.decision, Math.ceil(left))
    }
    const decision = refused.current
    const tightest = note(req, name, decision)
    const alone = handler === undefined && !res.hasHeader('RateLimit-Policy') && !res.hasHeader('X-RateLimit-Limit')
    if (alone) return send(res, preparedFor(decision, req.headers.accept))
    setFields(res, headers, decision, tightest)
    if (handler === undefined) return refuse(res, decision, req.headers.accept)
    handOver(decision, req, res, next)
  }

  function preparedFor(decision: RateLimitDecision, accept: string | undefined): Prepared {
    if (accept?.includes('text/')) return prepare(decision, headers, refusalOf(decision, accept))
    let it = prepared.get(decision)
    if (it === undefined) {
      it = prepare(decision, headers, refusalOf(decision, undefined))
      prepared.set(decision, it)
    }
    return it
  }

  function handOver(decision: RateLimitDecision, req: Req, res: Res, next: Next): void {
    res.statusCode = decision.source === 'none' ? 503 : 429
    setRetryAfter(res, decision)
    new Promise((resolve) => resolve(handler?.(req, res, next, decision))).catch(next)
  }

  function deny(req: Req, res: Res, next: Next): void {
    const refusal = { limiter: name, policy: 'deny-list', retryAfterMs: 0, blocked: true, repeated: 0, shadow }
    report(req, addressOf(req) ?? '', undefined, refusal)
    if (shadow) return next()
    if (!res.headersSent) sendRefusal(res, forbidden(req.headers.accept))
  }

  function giveBack(charge: Charge, decision: RateLimitDecision, req: Req, res: Res): void {
    refundUnless(
      res,
      (finished) => {
        const failed = !finished || options.isFailure(req, res)
        return count === 'failures' ? failed : !failed
      },
      () => void core.refund(charge.key, charge.policies, charge.cost, decision),
      () =>
        redis.warn('HOLDFAST_RATE_LIMIT_IS_FAILURE', `"isFailure" of limiter "${name}" threw; the request was counted`),
    )
  }

  return { handle, ...createOperations(core, naming, known) }
}
