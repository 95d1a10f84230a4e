import type { FeatureStatus, RedisManager } from '../../redis/index.js'
import { ConfigurationError } from '../../shared/errors.js'
import { aManager, anObject, aString, checkOptions, type Rules, requireOptions } from '../../shared/options.js'
import type { UpkeepRun, UpkeepTask } from './task.js'
import { createWorker } from './worker.js'

export interface UpkeepOptions {
  readonly redis: RedisManager
  /** Tasks by name. */
  readonly tasks: Readonly<Record<string, UpkeepTask | UpkeepTask['run']>>
  /** Tells several upkeeps of one fleet apart. @default 'default' */
  readonly name?: string | undefined
}

export interface Upkeep {
  /** Gives the task a turn now, if this process may; what came of it, or `undefined`. Rejects for an unknown task. */
  run(task: string): Promise<UpkeepRun | undefined>
  /** The last turn of each task in this process. */
  last(): Readonly<Record<string, UpkeepRun & { readonly at: Date }>>
  /** Aborts what runs, waits for it at most a second, and begins nothing more. Idempotent. */
  close(): Promise<void>
}

const rules: Rules<UpkeepOptions> = { redis: aManager, tasks: anObject, name: aString }

/**
 * Runs what must happen now and then and what Redis' own expiry does not do: cleaning, retention, warming, flushing. A
 * task of the fleet belongs to one process at a time; another one takes over when that one is gone.
 *
 * @example
 * ```ts
 * import { createRedisManager } from 'holdfast'
 * import { createUpkeep } from 'holdfast/ops'
 *
 * const redis = createRedisManager()
 * const upkeep = createUpkeep({
 *   redis,
 *   tasks: {
 *     carts: {
 *       every: '10m',
 *       budget: '2s',
 *       run: async ({ timeLeft }) => {
 *         let done = 0
 *         while (timeLeft() && (await deleteOneAbandonedCart())) done++
 *         return { done, more: !timeLeft() }
 *       },
 *     },
 *   },
 * })
 * process.once('SIGTERM', () => upkeep.close())
 *
 * async function deleteOneAbandonedCart(): Promise<boolean> {
 *   return false
 * }
 * ```
 */
export function createUpkeep(options: UpkeepOptions): Upkeep {
  checkOptions('createUpkeep', options, rules)
  requireOptions('createUpkeep', options, rules, 'redis', 'tasks')
  const { redis, tasks, name = 'default' } = options
  const stopped = new AbortController()
  const workers = new Map(
    Object.entries(tasks).map(([task, given]) => {
      const worker = createWorker({
        redis,
        upkeep: name,
        task,
        given,
        stopped: stopped.signal,
        onClosed: () => void close(),
      })
      return [task, worker] as const
    }),
  )
  const off = redis.register({ feature: 'upkeep', name: name === 'default' ? undefined : name, status })

  function status(): FeatureStatus {
    const lasts = [...workers.values()].flatMap((worker) => worker.last() ?? [])
    const bad = lasts.flatMap(({ task, outcome }) => (outcome === 'done' ? [] : task))
    return {
      status: bad.length > 0 ? 'warn' : 'pass',
      values: {
        tasks: workers.size,
        // Of a fleet's tasks, those that had a turn here.
        ranHere: lasts.length,
        failing: bad.length,
        unfinished: lasts.filter(({ more }) => more).length,
      },
      problem: bad.length > 0 ? `did not end well: ${bad.join(', ')}` : undefined,
    }
  }

  let closing: Promise<void> | undefined
  function close(): Promise<void> {
    closing ??= (async () => {
      stopped.abort()
      off()
      await Promise.all([...workers.values()].map((worker) => worker.stop(1000)))
    })()
    return closing
  }

  return {
    async run(task) {
      const worker = workers.get(task)
      if (worker === undefined) throw new ConfigurationError('createUpkeep', task, 'is not one of its tasks')
      return worker.run()
    },
    last: () =>
      Object.fromEntries([...workers.values()].flatMap((worker) => worker.last() ?? []).map((run) => [run.task, run])),
    close,
  }
}
