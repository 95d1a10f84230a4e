import type { Job as BullJob, Worker as BullWorker } from 'bullmq'
import type { OwnedConnection } from '../redis/index.js'
import { type Duration, toMs } from '../shared/duration.js'
import { isHoldfastError } from '../shared/errors.js'
import { aDuration, anInteger, checkOptions, type Rules } from '../shared/options.js'
import { type BullMQ, loadBullMQ } from './bullmq.js'
import type { DeadLetters } from './dead-letters.js'
import { asError, isPermanentJobError } from './errors.js'
import type { Job } from './job.js'
import { decodeId } from './job-id.js'
import type { QueueSettings } from './options.js'
import { prefixOf } from './producer.js'

export interface ProcessOptions {
  /** Jobs at a time in this worker. @default 1 */
  readonly concurrency?: number | undefined
  /**
   * How long after a worker went silent its jobs are given to others. Also how often that is looked for, so a job of a
   * killed worker is resumed within twice this time. @default '30s'
   */
  readonly lock?: Duration | undefined
}

export interface QueueWorker {
  /** True once it takes jobs, false where it does not within the time. @default '2s' */
  ready(within?: Duration): Promise<boolean>
  /** Jobs it is working on. */
  readonly active: number
  /**
   * Takes no more jobs and waits for those it has. After `within` their signals are aborted, and what has not ended
   * a second later is left to other workers. True where everything ended. Idempotent. @default '30s'
   */
  stop(within?: Duration): Promise<boolean>
}

export type Handler<Data, Result> = (job: Job<Data>) => Promise<Result> | Result

const rules: Rules<ProcessOptions> = { concurrency: anInteger(1, 100_000), lock: aDuration(100, 86_400_000) }

/** How often a job may lose its worker before it is dead: it may be what kills them. */
const MAX_STALLS = 2
const SWEEP_EVERY = 60_000
const RESTART_AFTER = 1000
const ABORT_GRACE = 1000

interface Running {
  readonly worker: BullWorker
  readonly connection: OwnedConnection
}

export function startWorker<Data, Result>(
  settings: QueueSettings<Data>,
  deadLetters: DeadLetters<Data>,
  handler: Handler<Data, Result>,
  options: ProcessOptions,
): QueueWorker {
  checkOptions('process', options, rules)
  const { concurrency = 1, lock = '30s' } = options
  const { redis, name } = settings
  const lockMs = toMs(lock)
  const active = new Map<string, AbortController>()
  let running: Running | undefined
  let isReady = false
  let stopping: Promise<boolean> | undefined
  const waiting = new Set<() => void>()
  const sweeper = setInterval(() => void sweep(), SWEEP_EVERY).unref()

  async function work(bull: BullMQ, job: BullJob): Promise<Result> {
    const id = job.id ?? ''
    const aborter = new AbortController()
    active.set(id, aborter)
    const own: Job<Data> = {
      id: decodeId(id),
      data: job.data as Data,
      attempt: job.attemptsMade + 1,
      attempts: job.opts.attempts ?? 1,
      signal: aborter.signal,
      progress: (value) => job.updateProgress(value as object),
    }
    try {
      return await handler(own)
    } catch (thrown) {
      if (isPermanentJobError(thrown)) throw new bull.UnrecoverableError(thrown.message)
      throw asError(thrown)
    } finally {
      active.delete(id)
    }
  }

  function report(job: BullJob | undefined, outcome: 'completed' | 'failed' | 'stalled', id = job?.id): void {
    if (!redis.listens('queue.job')) return
    const { processedOn, finishedOn = Date.now() } = job ?? {}
    const durationMs = processedOn === undefined ? 0 : Math.max(finishedOn - processedOn, 0)
    redis.emit('queue.job', { queue: name, id: decodeId(id ?? ''), outcome, durationMs })
  }

  async function sweep(): Promise<void> {
    if (!redis.available) return
    try {
      await deadLetters.sweep()
    } catch (error) {
      // What could not be reported stays unreported, for the next sweep here or elsewhere.
      if (!isHoldfastError(error)) redis.warn(`HOLDFAST_QUEUE_ON_DEAD:${name}`, `onDead of queue "${name}" threw`)
    }
  }

  async function start(): Promise<void> {
    const bull = await loadBullMQ()
    const connection = stopping === undefined ? redis.open('worker', () => void stop(0)) : undefined
    if (connection === undefined) return
    const worker = new bull.Worker(name, (job: BullJob) => work(bull, job), {
      connection: connection.client as never,
      prefix: prefixOf(redis, name),
      concurrency,
      lockDuration: lockMs,
      stalledInterval: lockMs,
      maxStalledCount: MAX_STALLS,
      // BullMQ's 15 seconds are long to wait after an outage that is over.
      runRetryDelay: 1000,
    })
    running = { worker, connection }
    // It retries by itself; the manager says what is wrong with Redis.
    worker.on('error', () => {})
    worker.on('completed', (job) => report(job, 'completed'))
    worker.on('failed', (job) => {
      report(job, 'failed')
      if (job?.finishedOn !== undefined) void sweep()
    })
    worker.on('stalled', (id) => report(undefined, 'stalled', id))
    worker.on('lockRenewalFailed', (ids: string[]) => {
      for (const id of ids) active.get(id)?.abort(new Error('the lock of the job was lost'))
    })
    try {
      await worker.waitUntilReady()
      isReady = true
      for (const settle of waiting) settle()
      void sweep()
    } catch {
      // BullMQ never recovers from a first connection that failed.
      await discard()
      if (stopping === undefined) setTimeout(begin, RESTART_AFTER).unref()
    }
  }

  async function discard(): Promise<void> {
    const last = running
    running = undefined
    isReady = false
    // By force: otherwise it waits for handlers that may never end, and for a server that may never answer.
    void last?.worker.close(true).catch(() => {})
    await last?.connection.close()
  }

  function begin(): void {
    start().catch((error: unknown) => {
      redis.warn('HOLDFAST_QUEUE_WORKER', `a worker of queue "${name}" could not start: ${asError(error).message}`)
    })
  }

  async function end(withinMs: number): Promise<boolean> {
    clearInterval(sweeper)
    for (const settle of waiting) settle()
    if (running === undefined) return true
    const paused = running.worker.pause().then(
      () => true,
      () => false,
    )
    let ended = await within(paused, withinMs)
    if (!ended) {
      for (const aborter of active.values()) aborter.abort(new Error('the worker is stopping'))
      ended = await within(paused, withinMs === 0 ? 0 : ABORT_GRACE)
    }
    const idle = active.size === 0
    await discard()
    return ended || idle
  }

  function stop(within: Duration): Promise<boolean> {
    stopping ??= end(toMs(within))
    return stopping
  }

  begin()
  return {
    get active() {
      return active.size
    },
    ready(within = 2000) {
      if (isReady || stopping !== undefined) return Promise.resolve(isReady)
      return new Promise((resolve) => {
        const settle = (): void => {
          clearTimeout(timer)
          waiting.delete(settle)
          resolve(isReady)
        }
        const timer = setTimeout(settle, toMs(within))
        waiting.add(settle)
      })
    },
    stop: (within = '30s') => stop(within),
  }
}

async function within(done: Promise<boolean>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(resolve, ms, false)
  })
  try {
    return await Promise.race([done, late])
  } finally {
    clearTimeout(timer)
  }
}
