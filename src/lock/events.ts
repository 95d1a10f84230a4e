import type { LockLossReason } from './errors.js'

/** How an attempt to take, extend or hold a lock ended. Times in milliseconds. Built only where somebody listens. */
export type LockOutcome =
  | { readonly outcome: 'acquired'; readonly key: string; readonly fence: number; readonly waitedMs: number }
  | { readonly outcome: 'timeout'; readonly key: string; readonly waitedMs: number }
  /** Redis was away, or refused: who holds the lock is not known. */
  | { readonly outcome: 'failed'; readonly key: string; readonly waitedMs: number }
  | { readonly outcome: 'extended'; readonly key: string; readonly fence: number; readonly ttl: number }
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
