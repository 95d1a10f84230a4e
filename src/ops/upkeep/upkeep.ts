import type { FeatureStatus, RedisManager } from '../../redis/index.js'
import { toMs } from '../../shared/duration.js'
import { ConfigurationError, isError } from '../../shared/errors.js'
import {
  aDuration,
  aFunction,
  aManager,
  anObject,
  aString,
  checkOptions,
  oneOf,
  type Rules,
  requireOptions,
} from '../../shared/options.js'
import { createLease } from '../lease.js'
import { createLoop, type Loop } from '../loop.js'
import type { UpkeepRun, UpkeepTask } from './task.js'
import { runTurn } from './turn.js'

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
const taskRules: Rules<UpkeepTask> = {
  run: aFunction,
  every: aDuration(100),
  budget: aDuration(10),
  scope: oneOf('fleet', 'process'),
}

/** Before a task's first turn, at most: an instance that lives shorter than `every` must not starve it. */
const FIRST_MS = 10_000
/** Between turns of a task that has more to do. */
const SOON_MS = 250

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
  const workers = new Map(Object.entries(tasks).map(([task, given]) => [task, createWorker(task, given)]))
  const off = redis.register({ feature: 'upkeep', name: name === 'default' ? undefined : name, status })

  function createWorker(task: string, given: UpkeepTask | UpkeepTask['run']): Worker {
    const definition = typeof given === 'function' ? { run: given } : given
    checkOptions(`createUpkeep: ${task}`, definition, taskRules)
    requireOptions(`createUpkeep: ${task}`, definition, taskRules, 'run')
    const { run, every = '1m', budget = '5s', scope = 'fleet' } = definition
    const [everyMs, budgetMs] = [toMs(every), toMs(budget)]
    // Longer than the longest wait between two turns, so that its owner keeps it.
    const lease = createLease(redis, 'upkeep', `${name}/${task}`, Math.ceil(1.2 * everyMs + budgetMs))
    const worker: Worker = { loop: undefined, last: undefined, turn: undefined, run: turn }
    let active = false
    const work: UpkeepTask['run'] = async (turn) => {
      active = true
      try {
        return (await run(turn)) ?? undefined
      } finally {
        active = false
      }
    }

    async function turn(): Promise<UpkeepRun | undefined> {
      // A turn that ignores its signal is waited for by the next one.
      if (stopped.signal.aborted || active) return undefined
      if (redis.state === 'closed') return void close()
      if (scope === 'fleet' && !(redis.available && (await lease.claim()))) return undefined
      const { error, ...ended } = await runTurn(task, work, budgetMs, stopped.signal)
      worker.last = { ...ended, at: new Date() }
      if (error !== undefined) {
        redis.warn(`HOLDFAST_UPKEEP_FAILED:${task}`, `the upkeep of ${task} failed with ${nameOf(error)}`)
      }
      redis.emit('upkeep.run', ended)
      return ended
    }

    // One turn at a time, whoever asks for it.
    worker.run = () => {
      worker.turn ??= turn().finally(() => {
        worker.turn = undefined
      })
      return worker.turn
    }
    worker.loop = createLoop({
      every: everyMs,
      first: Math.min(everyMs, FIRST_MS) * Math.random(),
      run: async () => {
        while ((await worker.run())?.more === true) await pause(SOON_MS, stopped.signal)
      },
    })
    return worker
  }

  function status(): FeatureStatus {
    const bad = [...workers].flatMap(([task, { last }]) => (last && last.outcome !== 'done' ? [task] : []))
    const lasts = [...workers.values()].flatMap(({ last }) => last ?? [])
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
      await Promise.all([...workers.values()].map(({ loop }) => loop?.stop(1000)))
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
      Object.fromEntries(
        [...workers].flatMap(([task, { last }]) => (last === undefined ? [] : [[task, last] as const])),
      ),
    close,
  }
}

interface Worker {
  loop: Loop | undefined
  last: (UpkeepRun & { readonly at: Date }) | undefined
  turn: Promise<UpkeepRun | undefined> | undefined
  run: () => Promise<UpkeepRun | undefined>
}

function nameOf(error: unknown): string {
  return isError(error) ? error.name : typeof error
}

/** Resolves at once when the signal aborts. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const end = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, ms)
    timer.unref()
    signal.addEventListener('abort', end)
  })
}
