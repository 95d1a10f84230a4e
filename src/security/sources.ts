import type { RedisManager } from '../redis/index.js'
import type { KnownDigests, SecurityEventDetails } from './event.js'

type Append = (type: unknown, details: SecurityEventDetails | undefined, known?: KnownDigests) => unknown

const ENDINGS: Readonly<Record<string, string>> = {
  logout: 'session_logout',
  revoked: 'session_expired',
  renewed: 'session_renewed',
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
      append(ENDINGS[reason], { userId, reason }, { session })
    }),
    redis.on('session.rejected', ({ reason }) => {
      append('holdfast.session_rejected', { reason, level: 'warn' })
    }),
  ]
  return () => {
    for (const off of offs) off()
  }
}
