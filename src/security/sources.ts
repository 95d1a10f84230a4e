import type { RedisManager } from '../redis/index.js'
import type { KnownDigests, SecurityEventDetails } from './event.js'

type Known = KnownDigests & { readonly credential?: string | undefined }
type Append = (type: unknown, details: SecurityEventDetails | undefined, known?: Known) => unknown

const ENDINGS: Readonly<Record<string, string>> = {
  logout: 'session_logout',
  revoked: 'session_expired',
  excess: 'excess_sessions_exceeded',
  reuse: 'authn_token_reuse',
}

/** Records what other features announce on the shared manager. */
export function listen(redis: RedisManager, append: Append): () => void {
  const offs = [
    redis.on('limit.exceeded', ({ address, user, limiter, policy, method, path, ...how }) => {
      append('excess_rate_limit_exceeded', { ip: address, userId: user, target: limiter, method, path, policy, ...how })
    }),
    redis.on('limit.degraded', ({ limiter, reason, onUnavailable }) => {
      append('sys_monitor_disabled', { target: limiter, reason, onUnavailable })
    }),
    redis.on('session.created', ({ session, userId }) => {
      append('session_created', { userId }, { session })
    }),
    redis.on('session.destroyed', ({ session, userId, reason }) => {
      // The renewal is an event of its own.
      if (reason !== 'renewed') append(ENDINGS[reason], { userId, reason }, { session })
    }),
    redis.on('session.renewed', ({ session, userId }) => {
      append('session_renewed', { userId }, { session })
    }),
    redis.on('session.rejected', ({ reason, address, cookie }) => {
      append('holdfast.session_rejected', { reason, ip: address, level: 'warn' }, { credential: cookie })
    }),
  ]
  return () => {
    for (const off of offs) off()
  }
}
