/** Calls that could not be kept until Redis returned, since the last event. */
export interface UsageDropped {
  readonly calls: number
}

/** One write of gathered calls to Redis. Built only where somebody listens. */
export interface UsageWritten {
  readonly calls: number
  /** `late`: Redis did not answer; the same write is sent again, and counted once. */
  readonly outcome: 'written' | 'late'
  readonly durationMs: number
}

declare module '../shared/events.js' {
  interface EventCatalogue {
    readonly 'usage.dropped': UsageDropped
    readonly 'usage.written': UsageWritten
  }
}
