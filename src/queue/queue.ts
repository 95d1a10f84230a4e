import { randomUUID } from 'node:crypto'
import { isRedisUnavailable } from '../redis/index.js'
import { type Duration, toMs } from '../shared/duration.js'
import { ConfigurationError } from '../shared/errors.js'
import { aDuration, anInteger, aString, checkOptions, type Rules } from '../shared/options.js'
import { encodePayload } from '../shared/payload.js'
import { loadBullMQ } from './bullmq.js'
import { createDeadLetters } from './create-dead-letters.js'
import type { DeadLetters } from './dead-letters.js'
import { warnOfEviction } from './eviction.js'
import type { JobInfo } from './job.js'
import { encodeId } from './job-id.js'
import { infoOf } from './job-info.js'
import { type QueueOptions, resolve } from './options.js'
import { createOutbox, type Parcel } from './outbox.js'
import { createProducer } from './producer.js'
import { type Handler, type ProcessOptions, type QueueWorker, startWorker } from './worker.js'

export interface AddOptions {
  /** Adding a job with the id of one that is still known does nothing. 1 to 200 characters. @default a random one */
  readonly id?: string | undefined
  /** Not before so long. @default 0 */
  readonly delay?: Duration | undefined
  /** 1 is first; jobs without one come before all that have one. */
  readonly priority?: number | undefined
  /** Instead of the queue's `attempts`. */
  readonly attempts?: number | undefined
}

/** `added`: in Redis. `buffered`: in the outbox of this process, until Redis returns. */
export interface AddResult {
  readonly id: string
  readonly outcome: 'added' | 'buffered'
}

export interface QueueCounts {
  readonly waiting: number
  readonly active: number
  readonly delayed: number
  readonly completed: number
  readonly dead: number
}

/** Work that is done later, elsewhere, at least once. */
export interface Queue<Data, Result = unknown> {
  readonly name: string
  /**
   * Adds a job. Rejects with `RedisUnavailableError` while Redis is away (unless the outbox has room), and with
   * `PayloadError` for data that cannot be stored. After reason `timeout` or `lost` the job may have been added: add it
   * again with the same `id`.
   */
  add(data: Data, options?: AddOptions): Promise<AddResult>
  /**
   * Starts a worker in this process. It takes up its work again after every outage. What the handler throws fails the
   * attempt; a `PermanentJobError` fails the job for good. A job may run twice, where its worker went silent.
   */
  process(handler: Handler<Data, Result>, options?: ProcessOptions): QueueWorker
  /** A job as it is stored, `undefined` where there is none. */
  job(id: string): Promise<JobInfo<Data> | undefined>
  counts(): Promise<QueueCounts>
  /** The dead letters: jobs that failed for good. */
  readonly dlq: DeadLetters<Data>
  /** Jobs of this process that wait for Redis. */
  readonly buffered: number
  /** Stops the workers made here (as {@link QueueWorker.stop} does), sends what it can, and closes. Idempotent. */
  close(within?: Duration): Promise<void>
}

const addRules: Rules<AddOptions> = {
  id: { expected: 'a string of 1 to 200 characters', accepts: (id) => aString.accepts(id) && String(id).length <= 200 },
  delay: aDuration(0, Number.MAX_SAFE_INTEGER),
  priority: anInteger(1, 2_097_152),
  attempts: anInteger(1, 1000),
}

const LOOK_DEADLINE = 1000

/**
 * A job queue on BullMQ, which must be installed beside (`npm install bullmq`). Neither throws nor connects because Redis
 * is absent; throws a `ConfigurationError` for a name or options out of their range.
 *
 * @example
 * ```ts
 * import { createRedisManager } from 'holdfast'
 * import { createQueue } from 'holdfast/queue'
 *
 * const mails = createQueue<{ to: string }>('mails', { redis: createRedisManager(), attempts: 5 })
 * mails.process(async ({ data }) => console.log('sending to', data.to), { concurrency: 10 })
 * await mails.add({ to: 'ada@example.org' }, { id: 'welcome:ada', delay: '10s' })
 * ```
 */
export function createQueue<Data, Result = unknown>(name: string, options: QueueOptions<Data>): Queue<Data, Result> {
  const settings = resolve(name, options)
  const { redis, maxBytes, job: defaults } = settings
  const producer = createProducer(redis, name)
  const dlq = createDeadLetters(settings, producer)
  const outbox = createOutbox(settings.outbox, async (parcel) => {
    try {
      await send(parcel)
      return 'sent'
    } catch (error) {
      if (isRedisUnavailable(error)) return 'later'
      redis.warn(`HOLDFAST_QUEUE_REFUSED:${name}`, `Redis refused a job of queue "${name}" that had waited for it`)
      return 'refused'
    }
  })
  const workers = new Set<QueueWorker>()
  const offs = [
    ...(['up', 'recovered'] as const).map((event) => redis.on(event, returned)),
    redis.register({
      feature: 'queue',
      name,
      status: () => ({ status: 'pass', values: { waitingForRedis: outbox.size, workers: workers.size } }),
    }),
  ]
  let closing: Promise<void> | undefined
  let checked = false
  // Told at once: an outage would hide it behind its own errors.
  loadBullMQ().catch((error: Error) => redis.warn('HOLDFAST_QUEUE_BULLMQ', error.message))
  returned()

  function returned(): void {
    if (!redis.available) return
    checkPolicy()
    void producer.warm()
    if (outbox.size > 0) void outbox.flush()
  }

  function checkPolicy(): void {
    if (checked) return
    checked = true
    void warnOfEviction(redis)
  }

  async function send({ id, data, dueAt, priority, attempts = defaults.attempts }: Parcel): Promise<void> {
    const jobOptions = {
      ...defaults,
      attempts,
      jobId: encodeId(id),
      delay: Math.max(dueAt - Date.now(), 0),
      ...(priority === undefined ? {} : { priority }),
    }
    await producer.run('queue.add', (queue) => queue.add(name, data, jobOptions), settings.deadline)
  }

  async function close(within: Duration): Promise<void> {
    for (const off of offs) off()
    await Promise.all([...workers].map((worker) => worker.stop(within)))
    if (outbox.size > 0) await outbox.flush()
    outbox.close()
    if (outbox.size > 0) {
      redis.emit('queue.lost', { queue: name, jobs: outbox.size })
      redis.warn(`HOLDFAST_QUEUE_LOST:${name}`, `queue "${name}" was closed with ${outbox.size} jobs waiting for Redis`)
    }
    await producer.close()
  }

  return {
    name,
    async add(data, given = {}) {
      checkOptions('add', given, addRules)
      const text = encodePayload('add', data, maxBytes)
      const { id = randomUUID(), delay = 0, priority, attempts } = given
      const parcel: Parcel = { id, data, dueAt: Date.now() + toMs(delay), priority, attempts }
      try {
        await send(parcel)
        return { id, outcome: 'added' }
      } catch (error) {
        if (closing !== undefined || !isRedisUnavailable(error)) throw error
        // The id makes it harmless that a job with an unknown outcome is sent again. The object is the caller's, who
        // may change it before Redis returns.
        if (outbox.put({ ...parcel, data: JSON.parse(text) })) return { id, outcome: 'buffered' }
        throw error
      }
    },
    process(handler, processOptions = {}) {
      if (closing !== undefined) throw new ConfigurationError('process', 'queue', 'is closed')
      const worker = startWorker(settings, dlq, handler, processOptions)
      workers.add(worker)
      return worker
    },
    job: (id) =>
      producer.run(
        'queue.job',
        async (queue) => {
          const [job, state] = await Promise.all([queue.getJob(encodeId(id)), queue.getJobState(encodeId(id))])
          return job === undefined ? undefined : infoOf<Data>(job, state)
        },
        LOOK_DEADLINE,
      ),
    counts: () =>
      producer.run(
        'queue.counts',
        async (queue) => {
          const types = ['waiting', 'prioritized', 'active', 'delayed', 'completed', 'failed'] as const
          const found = await queue.getJobCounts(...types)
          const of = (type: string): number => found[type] ?? 0
          return {
            waiting: of('waiting') + of('prioritized'),
            active: of('active'),
            delayed: of('delayed'),
            completed: of('completed'),
            dead: of('failed'),
          }
        },
        LOOK_DEADLINE,
      ),
    dlq,
    get buffered() {
      return outbox.size
    },
    close(within = '30s') {
      closing ??= close(within)
      return closing
    },
  }
}
