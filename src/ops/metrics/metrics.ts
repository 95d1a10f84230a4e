import type { RedisState } from '../../redis/index.js'
import { type Duration, toMs } from '../../shared/duration.js'
import { HoldfastError } from '../../shared/errors.js'
import type { EventCatalogue } from '../../shared/events.js'
import { checkOptions, requireOptions } from '../../shared/options.js'
import { COUNTED, type CountedEvent, type TimedEvent } from './counted.js'
import { Counter, type CounterSample } from './counters.js'
import { familiesOf, type MetricFamily } from './families.js'
import { createFleet, type Fleet, type FleetStats } from './fleet.js'
import { type OperationOutcome, type OperationStats, Operations } from './operations.js'
import { type FleetOptions, fleetRules, type MetricsOptions, metricsRules } from './options.js'
import { hitRatiosOf, statusOf } from './ratios.js'
import { Timer, type TimerSample } from './timers.js'

/** Everything counted since `since`, in this process. */
export interface MetricsSnapshot {
  readonly at: Date
  readonly since: Date
  readonly redis: { readonly state: RedisState }
  /** Calls to Redis by operation: every feature's, and yours through `attempt` and `execute`. */
  readonly operations: Readonly<Record<string, OperationStats>>
  /** What went through `measure` and `observe`. */
  readonly measured: Readonly<Record<string, OperationStats>>
  /** Outcomes of features, by counter. */
  readonly counters: Readonly<Record<string, readonly CounterSample[]>>
  /** Times that outcomes carry, such as how long locks were waited for, by histogram. */
  readonly times: Readonly<Record<string, readonly TimerSample[]>>
  /** hit ÷ (hit + stale + miss) of every counter that knows hits, from 0 to 1. */
  readonly hitRatios: Readonly<Record<string, number>>
}

export interface Metrics {
  /** Runs the function and counts it with its time; what it returns or throws comes back as it is. */
  measure<T>(operation: string, run: () => T): T
  /** Counts something that was timed elsewhere. */
  observe(operation: string, durationMs: number, outcome?: OperationOutcome): void
  snapshot(): MetricsSnapshot
  /** Operations of all processes. Rejects without the option `fleet`, and with RedisUnavailableError. @default '1h' */
  fleet(last?: Duration): Promise<FleetStats>
  /** Writes what the fleet does not have yet; true once it has. */
  flush(): Promise<boolean>
  /** Every metric in neutral form, for adapters such as `prometheus()`. */
  families(): readonly MetricFamily[]
  /** Stops counting, after a last write for the fleet. Call it before `redis.close()`. Idempotent. */
  close(): Promise<void>
}

/**
 * Counts and times every Redis operation at the manager and every outcome at the event that carries it: middlewares need
 * no changes. Nothing is allocated per request, and labels are bounded whatever clients send.
 *
 * @example
 * ```ts
 * import { createRedisManager } from 'holdfast'
 * import { createMetrics } from 'holdfast/ops'
 *
 * const redis = createRedisManager()
 * const metrics = createMetrics({ redis })
 * const report = await metrics.measure('report', async () => ({ rows: 3 }))
 * console.log(report.rows, metrics.snapshot().measured.report?.p95Ms)
 * ```
 */
export function createMetrics(options: MetricsOptions): Metrics {
  checkOptions('createMetrics', options, metricsRules)
  requireOptions('createMetrics', options, metricsRules, 'redis')
  const {
    redis,
    events = {},
    fleet: fleetOption = false,
    maxOperations = 200,
    maxSeries = 100,
    now = Date.now,
  } = options
  const calls = new Operations(maxOperations)
  const measured = new Operations(maxOperations)
  const counters = new Map<string, Counter>()
  const timers = new Map<string, Timer>()
  const fleet = fleetOption === false ? undefined : openFleet(fleetOption === true ? {} : fleetOption)
  const since = new Date()

  const offs = [
    redis.register({ feature: 'metrics', status: () => statusOf(calls, counters.values()) }),
    redis.on('redis.call', ({ operation, outcome, durationMs }) => {
      calls.record(operation, outcome, durationMs)
      fleet?.record(operation, outcome, durationMs)
    }),
    ...Object.entries({ ...COUNTED, ...events }).map(([type, row]) =>
      count(type as keyof EventCatalogue, row as never),
    ),
  ]

  function count<Type extends keyof EventCatalogue>(type: Type, row: CountedEvent<EventCatalogue[Type]>): () => void {
    const { name, help, labels = [], constant, known = labels.length === 0 ? [{}] : [], amount, times = [] } = row
    const made = new Counter(name, help, [...Object.keys(constant ?? {}), ...labels], maxSeries)
    const counter = counters.get(name) ?? made
    counters.set(name, counter)
    for (const set of known) counter.count({ ...set, ...constant }, 0)
    const timed = times.map(time)
    return redis.on(type, (event) => {
      const labelled = constant === undefined ? event : { ...event, ...constant }
      counter.count(labelled as unknown as Readonly<Record<string, unknown>>, amount?.(event) ?? 1)
      for (const record of timed) record(event)
    })
  }

  function time<Event>({ name, help, labels = [], ms }: TimedEvent<Event>): (event: Event) => void {
    const timer = timers.get(name) ?? new Timer(name, help, labels, maxSeries)
    timers.set(name, timer)
    return (event) => {
      const duration = ms(event)
      if (duration !== undefined) timer.record(event as Readonly<Record<string, unknown>>, duration)
    }
  }

  function openFleet(given: FleetOptions): Fleet {
    checkOptions('createMetrics: fleet', given, fleetRules)
    const { bucket = '1m', keep = '1d', every = '10s' } = given
    const [bucketMs, keepMs, flushMs] = [toMs(bucket), toMs(keep), toMs(every)]
    return createFleet({ redis, bucketMs, keepMs, flushMs, maxOperations, now })
  }

  function observe(operation: string, durationMs: number, outcome: OperationOutcome = 'ok'): void {
    measured.record(operation, outcome, durationMs)
    fleet?.record(operation, outcome, durationMs)
  }

  let closing: Promise<void> | undefined
  return {
    measure(operation, run) {
      const started = performance.now()
      const end = (outcome: OperationOutcome): void => observe(operation, performance.now() - started, outcome)
      return timed(run, end)
    },
    observe,
    snapshot() {
      const samplesOf = <Sample>(all: ReadonlyMap<string, { samples(): Sample[] }>): Record<string, Sample[]> =>
        Object.fromEntries([...all].map(([name, each]) => [name, each.samples()]))
      return {
        at: new Date(),
        since,
        redis: { state: redis.state },
        operations: calls.stats(),
        measured: measured.stats(),
        counters: samplesOf(counters),
        times: samplesOf(timers),
        hitRatios: hitRatiosOf(counters.values()),
      }
    },
    async fleet(last = '1h') {
      if (fleet === undefined) throw new HoldfastError('ERR_HOLDFAST_NO_FLEET', 'createMetrics was not given "fleet"')
      return fleet.read(toMs(last))
    },
    flush: async () => fleet?.flush() ?? true,
    families: () => familiesOf({ redis, calls, measured, counters, timers, lost: fleet?.lost }),
    close() {
      closing ??= (async () => {
        for (const off of offs) off()
        await fleet?.close()
      })()
      return closing
    },
  }
}

function timed<T>(run: () => T, end: (outcome: OperationOutcome) => void): T {
  let result: T
  try {
    result = run()
  } catch (error) {
    end('error')
    throw error
  }
  if (!isThenable(result)) {
    end('ok')
    return result
  }
  const settled = result.then(
    (value) => {
      end('ok')
      return value
    },
    (error: unknown) => {
      end('error')
      throw error
    },
  )
  return settled as T
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}
