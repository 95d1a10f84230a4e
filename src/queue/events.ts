/** What became of one attempt at a job. `dead`: it failed for good and is in the dead letters. */
export interface JobEvent {
  readonly queue: string
  readonly id: string
  readonly outcome: 'completed' | 'failed' | 'dead' | 'stalled'
  /** Of the attempt that ended; 0 where it is not known. */
  readonly durationMs: number
}

declare module '../shared/events.js' {
  interface EventCatalogue {
    /** Once per attempt, in the process that made it. */
    readonly 'queue.job': JobEvent
    /** Jobs that were kept in this process while Redis was away, and could not be added before it closed. */
    readonly 'queue.lost': { readonly queue: string; readonly jobs: number }
  }
}
