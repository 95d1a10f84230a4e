import type { Job as BullJob } from 'bullmq'
import type { JobInfo, JobState } from './job.js'
import { decodeId } from './job-id.js'

const STATES: Readonly<Record<string, JobState>> = {
  waiting: 'waiting',
  prioritized: 'waiting',
  active: 'active',
  delayed: 'delayed',
  completed: 'completed',
  failed: 'dead',
}

export function infoOf<Data>(job: BullJob, state: string): JobInfo<Data> {
  return {
    id: decodeId(job.id ?? ''),
    state: STATES[state] ?? 'unknown',
    data: job.data as Data,
    attempts: job.attemptsMade,
    progress: job.progress,
    result: job.returnvalue ?? undefined,
    reason: job.failedReason ?? undefined,
    addedAt: job.timestamp,
    finishedAt: job.finishedOn,
  }
}
