/** A job while it is being worked on. */
export interface Job<Data> {
  readonly id: string
  readonly data: Data
  /** Which attempt this is, from 1; more than {@link attempts} after a retry from the dead letters. */
  readonly attempt: number
  /** How often it is tried before it is dead. */
  readonly attempts: number
  /** Aborted when somebody else may be working on the job, or the worker has to stop: cease as soon as you can. */
  readonly signal: AbortSignal
  /** Shows how far it is, as any JSON; see `queue.job(id)`. */
  progress(value: string | number | object): Promise<void>
}

export type JobState = 'waiting' | 'active' | 'delayed' | 'completed' | 'dead' | 'unknown'

/** A job as it is stored. */
export interface JobInfo<Data> {
  readonly id: string
  readonly state: JobState
  readonly data: Data
  /** How often it was tried. */
  readonly attempts: number
  readonly progress: unknown
  /** What its handler returned. */
  readonly result: unknown
  /** Message of the last error. */
  readonly reason: string | undefined
  /** In ms since 1970. */
  readonly addedAt: number
  readonly finishedAt: number | undefined
}
