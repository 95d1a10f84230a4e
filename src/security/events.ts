import type { SecurityEvent } from './event.js'
import type { LevelCounts } from './ring.js'

/** Events that are in the local sink only: there was no more room to keep them for Redis. */
export interface SecurityEventsDropped {
  readonly dropped: LevelCounts
  readonly buffered: number
  readonly downMs: number
}

declare module '../shared/events.js' {
  interface EventCatalogue {
    /** Every recorded event, in the moment it is recorded. */
    readonly 'security.event': SecurityEvent
    /** After an outage or an overload that cost events. */
    readonly 'security.dropped': SecurityEventsDropped
  }
}
