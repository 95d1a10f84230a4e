import type { RedisManager } from '../redis/index.js'
import { addressOf } from '../shared/address.js'
import type { LimitExceeded } from './events.js'
import type { Principal } from './principal.js'
import type { RequestLike } from './request.js'

type Refusal = Pick<LimitExceeded, 'limiter' | 'policy' | 'retryAfterMs' | 'blocked' | 'repeated' | 'shadow'>

/** `caller` tells callers apart; `principal` is who it is, where that is known. */
export type Report = (req: RequestLike, caller: string, principal: Principal | undefined, refusal: Refusal) => void

const EVERY_MS = 1000
const MAX_CALLERS = 1000

/**
 * Tells the listeners of `limit.exceeded`, the security log among them, once per caller and second: a flood of requests
 * must not become a flood of events. Builds nothing where nobody listens.
 */
export function createReport(redis: RedisManager): Report {
  const told = new Map<string, { readonly at: number; repeated: number }>()
  return (req, caller, principal, refusal) => {
    if (!redis.listens('limit.exceeded')) return
    const at = performance.now()
    const before = told.get(caller)
    if (before !== undefined && at - before.at < EVERY_MS) {
      before.repeated += 1 + refusal.repeated
      return
    }
    told.delete(caller)
    if (told.size >= MAX_CALLERS) told.delete(told.keys().next().value as string)
    told.set(caller, { at, repeated: 0 })
    const address = addressOf(req)
    redis.emit('limit.exceeded', {
      ...refusal,
      repeated: refusal.repeated + (before?.repeated ?? 0),
      ...(address === undefined ? {} : { address }),
      ...(principal?.type === 'user' ? { user: principal.id } : {}),
      ...(req.method === undefined ? {} : { method: req.method }),
      ...(req.path === undefined ? {} : { path: `${req.baseUrl ?? ''}${req.path}` }),
    })
  }
}
