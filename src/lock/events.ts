import type { LockLossReason } from './errors.js'

/** How an attempt to take a lock, or the holding of one, ended. */
export type LockOutcome =
  | { readonly outcome: 'acquired'; readonly key: string; readonly fence: number; readonly waitedMs: number }
  | { readonly outcome: 'timeout'; readonly key: string; readonly waitedMs: number }
  | { readonly outcome: 'released'; readonly key: string; readonly fence: number; readonly heldMs: number }
  | {
      readonly outcome: 'lost'
      readonly key: string
      readonly fence: number
      readonly heldMs: number
      readonly reason: LockLossReason
    }

declare module '../shared/events.js' {
  interface EventCatalogue {
    readonly lock: LockOutcome
  }
}
