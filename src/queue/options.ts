import type { RedisManager } from '../redis/index.js'
import { type Duration, toMs } from '../shared/duration.js'
import { ConfigurationError } from '../shared/errors.js'
import {
  aDuration,
  aFunction,
  aManager,
  anInteger,
  anObject,
  checkOptions,
  oneOf,
  type Rules,
  requireOptions,
  show,
} from '../shared/options.js'
import type { JobInfo } from './job.js'

export interface Backoff {
  /** `exponential`: `delay` doubles with every attempt. */
  readonly type: 'fixed' | 'exponential'
  readonly delay: Duration
}

/** How many finished jobs are kept, and for how long: what is over either limit is deleted. */
export interface Keep {
  readonly count: number
  readonly age: Duration
}

export interface QueueOptions<Data = unknown> {
  readonly redis: RedisManager
  /** How often a job is tried before it is dead. @default 3 */
  readonly attempts?: number | undefined
  /** How long between attempts. @default { type: 'exponential', delay: '1s' } */
  readonly backoff?: Backoff | undefined
  /** Largest data of a job as JSON. @default 262144 (256 KiB) */
  readonly maxBytes?: number | undefined
  /** How long adding a job may take before it rejects. @default the manager's `commandTimeout` */
  readonly deadline?: Duration | undefined
  /** Completed jobs; while one is kept its id is not accepted again. @default { count: 1000, age: '1h' } */
  readonly keepCompleted?: Keep | undefined
  /** Dead letters. @default { count: 10000, age: '30d' } */
  readonly keepDead?: Keep | undefined
  /**
   * Jobs kept in this process while Redis is away, and added when it returns; lost if the process ends first. 0: `add`
   * rejects instead. @default 0
   */
  readonly outbox?: number | undefined
  /** Called at least once, by some worker, for every job that failed for good. */
  readonly onDead?: ((job: JobInfo<Data>) => unknown) | undefined
}

/** Options resolved: the core sees nothing optional. Durations are in ms. */
export interface QueueSettings<Data> {
  readonly name: string
  readonly redis: RedisManager
  readonly maxBytes: number
  /** `undefined`: the manager's own. */
  readonly deadline: number | undefined
  readonly outbox: number
  readonly onDead: (job: JobInfo<Data>) => unknown
  readonly job: {
    readonly attempts: number
    readonly backoff: { readonly type: 'fixed' | 'exponential'; readonly delay: number }
    /** In seconds, as BullMQ counts. */
    readonly removeOnComplete: { readonly count: number; readonly age: number }
    readonly removeOnFail: { readonly count: number; readonly age: number }
  }
}

const rules: Rules<QueueOptions> = {
  redis: aManager,
  attempts: anInteger(1, 1000),
  backoff: anObject,
  maxBytes: anInteger(1, 64 * 1024 * 1024),
  deadline: aDuration(1),
  keepCompleted: anObject,
  keepDead: anObject,
  outbox: anInteger(0, 1_000_000),
  onDead: aFunction,
}
const backoffRules: Rules<Backoff> = { type: oneOf('fixed', 'exponential'), delay: aDuration(0, 30 * 86_400_000) }
const keepRules: Rules<Keep> = { count: anInteger(0), age: aDuration(0, Number.MAX_SAFE_INTEGER) }

export function resolve<Data>(name: string, options: QueueOptions<Data>): QueueSettings<Data> {
  if (typeof name !== 'string' || !/^[A-Za-z0-9_.-]{1,100}$/.test(name)) {
    const expected = 'must be 1 to 100 letters, digits, "_", "." or "-"'
    throw new ConfigurationError('createQueue', 'name', `${expected}, got ${show(name)}`)
  }
  checkOptions('createQueue', options as QueueOptions, rules)
  requireOptions('createQueue', options as QueueOptions, rules, 'redis')
  const {
    redis,
    attempts = 3,
    backoff = { type: 'exponential', delay: '1s' },
    maxBytes = 256 * 1024,
    deadline,
    keepCompleted = { count: 1000, age: '1h' },
    keepDead = { count: 10_000, age: '30d' },
    outbox = 0,
    onDead = () => {},
  } = options
  checkOptions('createQueue: backoff', backoff, backoffRules)
  requireOptions('createQueue: backoff', backoff, backoffRules, 'type', 'delay')
  return {
    name,
    redis,
    maxBytes,
    deadline: deadline === undefined ? undefined : toMs(deadline),
    outbox,
    onDead,
    job: {
      attempts,
      backoff: { type: backoff.type, delay: toMs(backoff.delay) },
      removeOnComplete: keep('keepCompleted', keepCompleted),
      removeOnFail: keep('keepDead', keepDead),
    },
  }
}

function keep(option: string, given: Keep): { count: number; age: number } {
  checkOptions(`createQueue: ${option}`, given, keepRules)
  requireOptions(`createQueue: ${option}`, given, keepRules, 'count', 'age')
  return { count: given.count, age: Math.ceil(toMs(given.age) / 1000) }
}
