import type { RedisManager } from '../redis/index.js'
import { addressOf } from './address.js'
import type { Outbox } from './outbox.js'
import type { UserSessions } from './users.js'

/** What a valid access token says. */
export interface TokenClaims {
  readonly userId: string
  /** Id or handle of the session that the token was issued for, if it says so (`sid`). */
  readonly sessionId?: string | undefined
}

/** Judges an access token without Redis; undefined for one that proves nothing. Must not throw for a bad token. */
export type SessionFallback = (token: string) => Promise<TokenClaims | undefined>

/** Who a request is from, as far as can be told without Redis. */
export interface Degraded extends TokenClaims {
  readonly degraded: true
}

/**
 * Uses the fallback during an outage only, for a limited time, and never against what this process knows: sessions and
 * users that were revoked here since it began stay out.
 */
export function createFallback(
  redis: RedisManager,
  outbox: Outbox,
  users: UserSessions,
  fallback: SessionFallback | undefined,
  longest: number,
): { judge(token: string): Promise<Degraded | undefined>; close(): void } {
  let awaySince: number | undefined = redis.available ? undefined : performance.now()
  const away = (): void => {
    awaySince ??= performance.now()
  }
  const back = (): void => {
    awaySince = undefined
  }
  const offs = [redis.on('down', away), redis.on('degraded', away), redis.on('up', back), redis.on('recovered', back)]
  return {
    async judge(token) {
      if (fallback === undefined || token.length > 8192) return undefined
      if (awaySince !== undefined && performance.now() - awaySince > longest) return undefined
      const claims = await fallback(token)
      if (claims === undefined || outbox.ended({ hash: '', tag: users.tagOf(claims.userId) })) return undefined
      if (claims.sessionId !== undefined && outbox.ended(addressOf(redis.keys, claims.sessionId))) return undefined
      return { ...claims, degraded: true }
    },
    close() {
      for (const off of offs) off()
    },
  }
}
