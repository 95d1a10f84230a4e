import type { RedisManager } from '../../redis/index.js'
import { toMs } from '../../shared/duration.js'
import { isError } from '../../shared/errors.js'
import { aDuration, aFunction, checkOptions, oneOf, type Rules, requireOptions } from '../../shared/options.js'
import { createLease } from '../lease.js'
import { createLoop } from '../loop.js'
import type { UpkeepRun, UpkeepTask } from './task.js'
import { runTurn } from './turn.js'

export interface WorkerOptions {
  readonly redis: RedisManager
  readonly upkeep: string
  readonly task: string
  readonly given: UpkeepTask | UpkeepTask['run']
  readonly stopped: AbortSignal
  /** The manager was found closed. */
  readonly onClosed: () => void
}

/** Gives one task its turns. */
export interface Worker {
  /** A turn now, or the one under way; `undefined` where this process may not. */
  run(): Promise<UpkeepRun | undefined>
  last(): (UpkeepRun & { readonly at: Date }) | undefined
  stop(within: number): Promise<void>
}

const rules: Rules<UpkeepTask> = {
  run: aFunction,
  every: aDuration(100),
  budget: aDuration(10),
  scope: oneOf('fleet', 'process'),
}

/** Before a task's first turn, at most: an instance that lives shorter than `every` must not starve it. */
const FIRST_MS = 10_000
/** Between turns of a task that has more to do. */
const SOON_MS = 250

export function createWorker({ redis, upkeep, task, given, stopped, onClosed }: WorkerOptions): Worker {
  const definition = typeof given === 'function' ? { run: given } : given
  checkOptions(`createUpkeep: ${task}`, definition, rules)
  requireOptions(`createUpkeep: ${task}`, definition, rules, 'run')
  const { run, every = '1m', budget = '5s', scope = 'fleet' } = definition
  const [everyMs, budgetMs] = [toMs(every), toMs(budget)]
  // Longer than the longest wait between two turns, so that its owner keeps it.
  const lease = createLease(redis, 'upkeep', `${upkeep}/${task}`, Math.ceil(1.2 * everyMs + budgetMs))
  let last: (UpkeepRun & { readonly at: Date }) | undefined
  let underWay: Promise<UpkeepRun | undefined> | undefined
  let working = false

  const work: UpkeepTask['run'] = async (turn) => {
    working = true
    try {
      return (await run(turn)) ?? undefined
    } finally {
      working = false
    }
  }

  async function turn(): Promise<UpkeepRun | undefined> {
    // A turn that ignores its signal is waited for by the next one.
    if (stopped.aborted || working) return undefined
    if (redis.state === 'closed') return void onClosed()
    if (scope === 'fleet' && !(redis.available && (await lease.claim()))) return undefined
    const { error, ...ended } = await runTurn(task, work, budgetMs, stopped)
    last = { ...ended, at: new Date() }
    if (error !== undefined) {
      const name = isError(error) ? error.name : typeof error
      redis.warn(`HOLDFAST_UPKEEP_FAILED:${task}`, `the upkeep of ${task} failed with ${name}`)
    }
    redis.emit('upkeep.run', ended)
    return ended
  }

  function once(): Promise<UpkeepRun | undefined> {
    underWay ??= turn().finally(() => {
      underWay = undefined
    })
    return underWay
  }

  const loop = createLoop({
    every: everyMs,
    first: Math.min(everyMs, FIRST_MS) * Math.random(),
    run: async () => {
      const ended = await once()
      if (ended?.more === true) return SOON_MS
      // Whoever may not looks more often than the owner works: the owner may be gone.
      return ended === undefined ? everyMs / 4 : undefined
    },
  })
  return { run: once, last: () => last, stop: loop.stop }
}
