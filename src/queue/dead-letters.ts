import type { Duration } from '../shared/duration.js'
import type { JobInfo } from './job.js'

export interface DeadLetterPage {
  /** @default 0 */
  readonly offset?: number | undefined
  /** @default 50 */
  readonly limit?: number | undefined
}

/**
 * The jobs that failed for good. A job moves here in the same step in which its last attempt ends, so that none can be
 * missed. Everything fails closed with `RedisUnavailableError`.
 */
export interface DeadLetters<Data> {
  count(): Promise<number>
  /** The latest first. */
  list(page?: DeadLetterPage): Promise<JobInfo<Data>[]>
  /** Puts a job back in the queue, with all its attempts ahead of it. False where there is no such dead job. */
  retry(id: string): Promise<boolean>
  /** Puts back up to `limit` jobs, the oldest first; answers how many. @default 1000 */
  retryAll(limit?: number): Promise<number>
  /** Deletes those that died longer ago than `olderThan`, at most `limit`; answers how many. @default 0, 1000 */
  purge(options?: { readonly olderThan?: Duration | undefined; readonly limit?: number | undefined }): Promise<number>
  /**
   * Calls `onDead` for every dead job for which it has not succeeded yet; answers how many. Workers do so by themselves
   * after each death and once a minute.
   */
  sweep(): Promise<number>
}
