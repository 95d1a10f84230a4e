/** A message that was received and not given to its handler. */
export interface MessageInvalid {
  readonly channel: string
  /** What is wrong with it, without its content. */
  readonly problem: string
}

/** Messages of a channel may have been missed. */
export interface MessageGap {
  readonly channel: string
}

declare module '../shared/events.js' {
  interface EventCatalogue {
    /** A message that is not JSON or does not match its channel's schema. */
    readonly 'pubsub.invalid': MessageInvalid
    /** Once per subscription after its connection was interrupted. */
    readonly 'pubsub.gap': MessageGap
  }
}
