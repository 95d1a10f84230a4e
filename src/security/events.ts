import type { SecurityAlert } from './alerts.js'
import type { SecurityEvent } from './event.js'
import type { Revocation } from './guard.js'
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
    /** A detector found something; once per subject and cooldown, in one process of the fleet. */
    readonly 'security.alert': SecurityAlert
    /** Sessions that should end, where `revoke` is enforced. */
    readonly 'security.revoke': Revocation
  }
}
