import type { FallbackReason } from '../redis/index.js'

/** A request above its limit, or during a block. */
export interface LimitExceeded {
  /** Name of the limiter. */
  readonly limiter: string
  /** Name of the policy that refused, `deny-list` for an entry of that list. */
  readonly policy: string
  readonly address?: string
  readonly user?: string
  readonly method?: string
  /** Path without its query. */
  readonly path?: string
  readonly retryAfterMs: number
  /** By a block, not by a policy alone. */
  readonly blocked: boolean
  /** Refusals of this caller since the last event about it, which made no events of their own. */
  readonly repeated: number
  /** `mode: 'shadow'`: the request was served. */
  readonly shadow: boolean
}

/** The first request of an outage that Redis did not decide. */
export interface LimitDegraded {
  readonly limiter: string
  readonly reason: FallbackReason
  /** What happens to requests until Redis returns. */
  readonly onUnavailable: 'allow' | 'memory' | 'deny'
}

/** A request, or a call of `consume` or `check`, that a limiter had to decide. Built only where somebody listens. */
export interface LimitDecided {
  /** Name of the limiter. */
  readonly limiter: string
  /** `blocked`: refused by a block; `denied`: on the deny list. */
  readonly outcome: 'allowed' | 'refused' | 'blocked' | 'denied'
  /** Who decided: `local` is what this process remembers of Redis' refusals, `none` is `onUnavailable`. */
  readonly source: 'redis' | 'local' | 'memory' | 'none'
  /** `mode: 'shadow'`: the request was served. */
  readonly shadow: boolean
}

declare module '../shared/events.js' {
  interface EventCatalogue {
    readonly 'limit.exceeded': LimitExceeded
    readonly 'limit.decided': LimitDecided
    readonly 'limit.degraded': LimitDegraded
  }
}
