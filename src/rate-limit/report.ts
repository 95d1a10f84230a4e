import type { RedisManager } from '../redis/index.js'
import { addressOf } from '../shared/address.js'
import type { LimitExceeded } from './events.js'
import type { Principal } from './principal.js'
import type { RequestLike } from './request.js'

type Refusal = Pick<LimitExceeded, 'limiter' | 'policy' | 'retryAfterMs' | 'blocked' | 'repeated' | 'shadow'>

/** Tells the listeners of `limit.exceeded`, the security log among them; builds nothing where nobody listens. */
export function report(
  redis: RedisManager,
  req: RequestLike,
  principal: Principal | undefined,
  refusal: Refusal,
): void {
  if (!redis.listens('limit.exceeded')) return
  const address = addressOf(req)
  redis.emit('limit.exceeded', {
    ...refusal,
    ...(address === undefined ? {} : { address }),
    ...(principal?.type === 'user' ? { user: principal.id } : {}),
    ...(req.method === undefined ? {} : { method: req.method }),
    ...(req.path === undefined ? {} : { path: `${req.baseUrl ?? ''}${req.path}` }),
  })
}
