import type { ServerResponse } from 'node:http'
import { addressOf } from '../shared/address.js'
import type { Charge } from './attribution.js'
import type { Core, Taken } from './core.js'
import { type RateLimitDecision, remembered } from './decision.js'
import type { Refused } from './deny-cache.js'
import { InfoOnRequest, type Marked } from './info.js'
import type { HttpOptions } from './options.js'
import { forbidden, refusalOf } from './refusal.js'
import { createReport } from './report.js'
import type { RequestLike } from './request.js'
import { type Prepared, prepare, refuse, send, sendRefusal, setFields, setRetryAfter } from './respond.js'
import { refundUnless } from './settle.js'

type Next = (error?: unknown) => void

/** What a limiter does about a request once it is known whether it may pass. */
export interface Answers<Req, Res> {
  decided(taken: Taken<Charge>, req: Req, res: Res, next: Next): void
  /** The caller was refused a moment ago: all but the seconds left is known. */
  again(asked: Charge, refused: Refused, req: Req, res: Res, next: Next): void
  /** On the deny list. */
  denied(req: Req, res: Res, next: Next): void
  /** The whole answer of {@link again} where nothing else is on the response. */
  prepared(refused: Refused, accept: string | undefined): Prepared
}

export function createAnswers<Req extends RequestLike, Res extends ServerResponse>(
  options: HttpOptions<Req, Res>,
  core: Core,
): Answers<Req, Res> {
  const { redis, name, shadow, headers, handler, count } = options
  const report = createReport(redis)
  const kept = new WeakMap<RateLimitDecision, Prepared>()

  return {
    decided({ asked, decision, repeated }, req, res, next) {
      if (res.headersSent) return next()
      const tightest = InfoOnRequest.note(req as Marked, new InfoOnRequest(name, decision, asked))
      if (decision.source !== 'none') setFields(res, headers, decision, tightest)
      if (decision.allowed) {
        if (count !== 'all' && decision.source !== 'none') giveBack(asked, decision, req, res)
        return next()
      }
      if (decision.source !== 'none') {
        const { blocked, retryAfterMs, tightest: policy } = decision
        const refusal = { limiter: name, policy: policy.name, retryAfterMs, blocked, repeated, shadow }
        report(req, asked.key, asked.principal, refusal)
      }
      if (shadow) return next()
      if (handler === undefined) return refuse(res, decision, req.headers.accept)
      handOver(decision, req, res, next)
    },

    again(asked, refused, req, res, next) {
      if (res.headersSent) return next()
      const decision = present(refused)
      const tightest = InfoOnRequest.note(req as Marked, new InfoOnRequest(name, decision, asked))
      const alone =
        handler === undefined && !shadow && !res.hasHeader('RateLimit-Policy') && !res.hasHeader('X-RateLimit-Limit')
      if (alone) return send(res, preparedFor(decision, req.headers.accept))
      setFields(res, headers, decision, tightest)
      if (shadow) return next()
      if (handler === undefined) return refuse(res, decision, req.headers.accept)
      handOver(decision, req, res, next)
    },

    denied(req, res, next) {
      core.tell('denied', 'local')
      const refusal = { limiter: name, policy: 'deny-list', retryAfterMs: 0, blocked: true, repeated: 0, shadow }
      report(req, addressOf(req) ?? '', undefined, refusal)
      if (shadow) return next()
      if (!res.headersSent) sendRefusal(res, forbidden(req.headers.accept))
    },

    prepared: (refused, accept) => preparedFor(present(refused), accept),
  }

  function preparedFor(decision: RateLimitDecision, accept: string | undefined): Prepared {
    if (accept?.includes('text/')) return prepare(decision, headers, refusalOf(decision, accept))
    let it = kept.get(decision)
    if (it === undefined) {
      it = prepare(decision, headers, refusalOf(decision, undefined))
      kept.set(decision, it)
    }
    return it
  }

  function handOver(decision: RateLimitDecision, req: Req, res: Res, next: Next): void {
    res.statusCode = decision.source === 'none' ? 503 : 429
    setRetryAfter(res, decision)
    new Promise((resolve) => resolve(handler?.(req, res, next, decision))).catch(next)
  }

  function giveBack(asked: Charge, decision: RateLimitDecision, req: Req, res: Res): void {
    refundUnless(
      res,
      (finished) => {
        const failed = !finished || options.isFailure(req, res)
        return count === 'failures' ? failed : !failed
      },
      () => void core.refund(asked, decision),
      () =>
        redis.warn('HOLDFAST_RATE_LIMIT_IS_FAILURE', `"isFailure" of limiter "${name}" threw; the request was counted`),
    )
  }
}

/** A remembered refusal as it stands now, worked out once a second. */
function present(refused: Refused): RateLimitDecision {
  const left = Math.max(1, refused.freeAt - performance.now())
  const second = Math.ceil(left / 1000)
  if (refused.current === undefined || refused.second !== second) {
    refused.second = second
    refused.current = remembered(refused.decision, Math.ceil(left))
  }
  return refused.current
}
