/** Calls that could not be kept until Redis returned, since the last event. */
export interface UsageDropped {
  readonly calls: number
}

declare module '../shared/events.js' {
  interface EventCatalogue {
    readonly 'usage.dropped': UsageDropped
  }
}
