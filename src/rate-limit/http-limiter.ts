import type { ServerResponse } from 'node:http'
import { markMustRun } from '../shared/must-run.js'
import { createAnswers } from './answers.js'
import { type Charge, createAttribution } from './attribution.js'
import type { Naming } from './caller.js'
import { Core } from './core.js'
import { createFrontDoor } from './front-door.js'
import { InfoOnRequest, type Marked } from './info.js'
import { createOperations, type Operations } from './operations.js'
import type { HttpOptions } from './options.js'
import type { RequestLike } from './request.js'
import type { RateLimitSeam, Started, Verdict } from './seam.js'

type Next = (error?: unknown) => void

export interface HttpLimiter<Req, Res> extends RateLimitSeam<Req, Res>, Operations {
  handle(req: Req, res: Res, next: Next): void
}

/** One limiter for requests of any framework that has Express' shape. */
export function createHttpLimiter<Req extends RequestLike, Res extends ServerResponse>(
  options: HttpOptions<Req, Res>,
): HttpLimiter<Req, Res> {
  const { unnamed, policies, count } = options
  const naming: Naming = options
  const known = typeof policies === 'function' ? [] : policies
  const cost = typeof options.cost === 'number' ? options.cost : undefined
  const core = new Core({ ...options, policies: known, cost, naming, refunds: count !== 'all' })
  const attribution = createAttribution(options, naming)
  const answers = createAnswers(options, core)

  function start(req: Req): Started {
    if (InfoOnRequest.has(req as Marked, options)) return 'free'
    if (attribution.atOnce !== undefined) return judge(req, attribution.atOnce(req))
    return attribution.find(req).then((found) => judge(req, found))
  }

  function begin(req: Req): Started {
    try {
      return start(req)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  function judge(req: Req, found: Charge | 'free' | 'gone' | 'denied'): Started {
    if (typeof found === 'string') return found
    if (unnamed && InfoOnRequest.has(req as Marked, options, found.key)) return 'free'
    const refused = core.known(found)
    return refused === undefined ? core.take(found) : { asked: found, refused }
  }

  function settle(verdict: Verdict, req: Req, res: Res, next: Next): void {
    if (verdict === 'free') {
      // The next one may have to be counted, or refused.
      markMustRun(req)
      next()
    } else if (verdict === 'denied') answers.denied(req, res, next)
    else if (verdict === 'gone') return
    else if ('refused' in verdict) answers.again(verdict.asked, verdict.refused, req, res, next)
    else answers.decided(verdict, req, res, next)
  }

  function apply(started: Started, req: Req, res: Res, next: Next): void {
    if (!isPending(started)) return settle(started, req, res, next)
    started.then((verdict) => {
      // A promise less than with a catch behind it.
      try {
        settle(verdict, req, res, next)
      } catch (error) {
        next(error)
      }
    }, next)
  }

  function giveBack(verdict: Verdict): void {
    if (typeof verdict === 'string' || 'refused' in verdict || !verdict.decision.allowed) return
    void core.refund(verdict.asked, verdict.decision)
  }

  return {
    handle: (req, res, next) => apply(start(req), req, res, next),
    ...createFrontDoor(options, naming, core, answers),
    early: attribution.early,
    start(req) {
      const started = begin(req)
      // Whoever started it may never apply it.
      if (isPending(started)) started.catch(() => {})
      return started
    },
    apply,
    abandon(started) {
      Promise.resolve(started).then(giveBack, () => {})
    },
    ...createOperations(core, naming, known),
  }
}

function isPending(started: Started): started is Promise<Verdict> {
  return typeof started === 'object' && 'then' in started
}
