import type { BypassReason } from './asked.js'
import type { Refusal } from './policy.js'

/** How one request went through a response cache. */
export type ResponseCacheOutcome =
  | { readonly outcome: 'hit'; readonly ageMs: number; readonly status: number; readonly bytes: number }
  | { readonly outcome: 'miss'; readonly stored: true; readonly status: number; readonly bytes: number }
  | { readonly outcome: 'miss'; readonly stored: false; readonly reason: Refusal | BypassReason }
  | { readonly outcome: 'bypass'; readonly reason: BypassReason }

declare module '../shared/events.js' {
  interface EventCatalogue {
    /** One request through a response cache. */
    readonly 'response-cache': ResponseCacheOutcome
  }
}
