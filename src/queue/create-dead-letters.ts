import type { RedisManager } from '../redis/index.js'
import { toMs } from '../shared/duration.js'
import type { DeadLetters } from './dead-letters.js'
import type { JobInfo } from './job.js'
import { encodeId } from './job-id.js'
import { infoOf } from './job-info.js'
import type { QueueSettings } from './options.js'
import type { Producer } from './producer.js'

const PAGE = 100
const DEADLINE = 2000

export function createDeadLetters<Data>(settings: QueueSettings<Data>, producer: Producer): DeadLetters<Data> {
  const { redis, name, onDead } = settings
  /** Ids whose death was reported, scored by when they died: a job that dies again is reported again. */
  const reported = redis.keys.key('queue', redis.keys.slot(name), 'reported')
  let sweeping: Promise<number> | undefined
  /** Somebody asked while a sweep was under way, which may have passed the place. */
  let again = false

  const page = (start: number, count: number, ascending: boolean): Promise<JobInfo<Data>[]> =>
    producer.run(
      'queue.dlq',
      async (queue) => {
        const jobs = await queue.getJobs(['failed'], start, start + count - 1, ascending)
        // A job may be deleted while its page is read.
        return jobs.filter((job) => job !== undefined && job !== null).map((job) => infoOf<Data>(job, 'failed'))
      },
      DEADLINE,
    )

  const retry = (id: string): Promise<boolean> =>
    producer.run(
      'queue.dlq.retry',
      async (queue) => {
        const job = await queue.getJob(encodeId(id))
        if (job === undefined || !(await job.isFailed())) return false
        await job.retry('failed', { resetAttemptsMade: true, resetAttemptsStarted: true })
        return true
      },
      DEADLINE,
    )

  async function sweepOnce(): Promise<number> {
    let count = 0
    for (let start = 0; ; start += PAGE) {
      const jobs = await page(start, PAGE, false)
      for (const job of await unreported(redis, reported, jobs)) {
        await onDead(job)
        redis.emit('queue.job', { queue: name, id: job.id, outcome: 'dead', durationMs: 0 })
        await redis.execute('queue.dlq.report', (client) =>
          client.zadd(reported, job.finishedAt ?? 0, encodeId(job.id)),
        )
        count++
      }
      if (jobs.length === PAGE) continue
      // The oldest leave first: what died before the oldest that is left is gone.
      const oldest = jobs.at(-1)?.finishedAt ?? (start === 0 ? Number.POSITIVE_INFINITY : 0)
      await redis.execute('queue.dlq.report', (client) =>
        client.zremrangebyscore(reported, '-inf', `(${toScore(oldest)}`),
      )
      return count
    }
  }

  async function sweepAll(): Promise<number> {
    let count = 0
    while (again) {
      again = false
      count += await sweepOnce()
    }
    return count
  }

  return {
    count: () => producer.run('queue.dlq', (queue) => queue.getFailedCount(), DEADLINE),
    list: ({ offset = 0, limit = 50 } = {}) =>
      page(Math.max(Math.trunc(offset), 0), Math.max(Math.trunc(limit), 1), false),
    retry,
    async retryAll(limit = 1000) {
      let count = 0
      while (count < limit) {
        const jobs = await page(0, Math.min(PAGE, limit - count), true)
        const before = count
        for (const { id } of jobs) if (await retry(id)) count++
        if (count === before) break
      }
      return count
    },
    async purge({ olderThan = 0, limit = 1000 } = {}) {
      const ids = await producer.run(
        'queue.dlq.purge',
        (queue) => queue.clean(toMs(olderThan), limit, 'failed'),
        DEADLINE,
      )
      return ids.length
    },
    sweep() {
      again = true
      sweeping ??= sweepAll().finally(() => {
        sweeping = undefined
      })
      return sweeping
    },
  }
}

async function unreported<Data>(
  redis: RedisManager,
  key: string,
  jobs: readonly JobInfo<Data>[],
): Promise<JobInfo<Data>[]> {
  if (jobs.length === 0) return []
  const scores = await redis.execute('queue.dlq.report', (client) =>
    client.zmscore(key, ...jobs.map(({ id }) => encodeId(id))),
  )
  return jobs.filter(({ finishedAt }, index) => Number(scores[index] ?? -1) !== (finishedAt ?? 0))
}

function toScore(value: number): string {
  return value === Number.POSITIVE_INFINITY ? '+inf' : String(value)
}
