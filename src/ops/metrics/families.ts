import type { FeatureStatus, RedisManager, StatusSource } from '../../redis/index.js'
import type { Counter } from './counters.js'
import type { Histogram } from './histogram.js'
import type { Operations } from './operations.js'
import type { Labels } from './series.js'
import type { Timer } from './timers.js'

/** One metric in every number it has now: the neutral form that the Prometheus and OpenTelemetry adapters read. */
export type MetricFamily =
  | (FamilyHead & { readonly type: 'counter' | 'gauge'; readonly samples: readonly MetricSample[] })
  | (FamilyHead & { readonly type: 'histogram'; readonly samples: readonly HistogramSample[] })

interface FamilyHead {
  readonly name: string
  readonly help: string
}

export interface MetricSample {
  readonly labels: Labels
  readonly value: number
}

export interface HistogramSample {
  readonly labels: Labels
  /** `[upper bound in seconds, how many were at most that]`, ascending, without the last one, which is `count`. */
  readonly buckets: readonly (readonly [le: number, count: number])[]
  readonly count: number
  readonly sum: number
}

const CALLS_MS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000]
/** Of what waits and works: from a millisecond to a minute and more. */
const WORK_MS = [1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000]
const MAX_STATUS_FAMILIES = 200

export interface FamilyInput {
  readonly redis: Pick<RedisManager, 'available' | 'sources'>
  readonly calls: Operations
  readonly measured: Operations
  readonly counters: ReadonlyMap<string, Counter>
  readonly timers: ReadonlyMap<string, Timer>
  /** Fleet writes that were given up, where the fleet is on. */
  readonly lost: number | undefined
}

export function familiesOf({ redis, calls, measured, counters, timers, lost }: FamilyInput): MetricFamily[] {
  const counted = [...counters.values()]
  const timed = [...timers.values()]
  const overflow = [calls, measured, ...counted, ...timed].reduce((sum, each) => sum + each.overflow, 0)
  return [
    gauge('holdfast_redis_up', 'Whether Redis is in use (1) or passed by (0).', redis.available ? 1 : 0),
    ...operationFamilies('holdfast_redis_call', 'calls to Redis', calls),
    ...operationFamilies('holdfast_measured_call', 'measured calls', measured),
    ...counted.map(
      (each): MetricFamily => ({
        name: `holdfast_${each.name}_total`,
        help: each.help,
        type: 'counter',
        samples: each.samples(),
      }),
    ),
    ...timed.map(
      (each): MetricFamily => ({
        name: `holdfast_${each.name}_seconds`,
        help: each.help,
        type: 'histogram',
        samples: each.histograms().map(({ labels, value }) => histogramOf(labels, value, WORK_MS)),
      }),
    ),
    {
      name: 'holdfast_metrics_overflow_total',
      help: 'What was counted as "other" because there were too many different labels.',
      type: 'counter',
      samples: [{ labels: {}, value: overflow }],
    },
    ...(lost === undefined
      ? []
      : [
          {
            name: 'holdfast_metrics_fleet_lost_total',
            help: 'Time buckets of this process that could not be written to Redis.',
            type: 'counter' as const,
            samples: [{ labels: {}, value: lost }],
          },
        ]),
    ...statusFamilies(redis.sources()),
  ]
}

function operationFamilies(name: string, what: string, operations: Operations): MetricFamily[] {
  const all = [...operations.byName]
  return [
    {
      name: `${name}s_total`,
      help: `Number of ${what}, by how they ended.`,
      type: 'counter',
      samples: all.flatMap(([operation, it]) =>
        (['ok', 'error', 'timeout', 'refused'] as const)
          // A series that has begun goes on; ok is there from the start, since success is a ratio of it.
          .filter((outcome) => outcome === 'ok' || it[outcome] > 0)
          .map((outcome) => ({ labels: { operation, outcome }, value: it[outcome] })),
      ),
    },
    {
      name: `${name}_duration_seconds`,
      help: `Duration of ${what} that were made.`,
      type: 'histogram',
      samples: all.map(([operation, { times }]) => histogramOf({ operation }, times, CALLS_MS)),
    },
  ]
}

function histogramOf(labels: Labels, times: Histogram, bounds: readonly number[]): HistogramSample {
  return {
    labels,
    buckets: bounds.map((ms) => [ms / 1000, times.atMost(ms)] as const),
    count: times.count,
    sum: times.sumMs / 1000,
  }
}

/** Numbers that features know about themselves become gauges named after them, texts become `_info` gauges. */
function statusFamilies(sources: readonly StatusSource[]): MetricFamily[] {
  const families = new Map<string, { help: string; samples: MetricSample[] }>()
  const put = (name: string, help: string, sample: MetricSample): void => {
    const family = families.get(name)
    if (family !== undefined) family.samples.push(sample)
    else if (families.size < MAX_STATUS_FAMILIES) families.set(name, { help, samples: [sample] })
  }
  const identities = new Map<string, number>()
  for (const source of sources) {
    // Ratios of the counters above: queries make better ones.
    if (source.feature === 'metrics') continue
    const status = statusOf(source)
    if (status === undefined) continue
    const identity = `${source.feature}\n${source.name ?? ''}`
    const nth = (identities.get(identity) ?? 0) + 1
    identities.set(identity, nth)
    const name = nth === 1 ? (source.name ?? '') : `${source.name ?? ''}#${nth}`
    put('holdfast_feature_status', 'How each feature is doing: 1 for the status it has.', {
      labels: { feature: source.feature, name, status: status.status },
      value: 1,
    })
    for (const [measurement, value] of Object.entries(status.values)) {
      if (value === undefined) continue
      const help = `${measurement} of ${source.feature}.`
      if (typeof value === 'string') {
        const labels = { name, value: value.slice(0, 100) }
        put(`holdfast_${snake(source.feature)}_${snake(measurement)}_info`, help, { labels, value: 1 })
        continue
      }
      const isMs = measurement.endsWith('Ms') && typeof value === 'number'
      const unit = isMs ? `${snake(measurement.slice(0, -2))}_seconds` : snake(measurement)
      put(`holdfast_${snake(source.feature)}_${unit}`, help, {
        labels: { name },
        value: isMs ? value / 1000 : Number(value),
      })
    }
  }
  return [...families].map(([name, family]) => ({ name, type: 'gauge', ...family }))
}

function statusOf(source: StatusSource): FeatureStatus | undefined {
  try {
    return source.status()
  } catch {
    // A source that throws shows as a warning in health; here it has no numbers.
    return undefined
  }
}

function gauge(name: string, help: string, value: number): MetricFamily {
  return { name, help, type: 'gauge', samples: [{ labels: {}, value }] }
}

function snake(name: string): string {
  return name
    .replace(/[A-Z]+/g, (capitals) => `_${capitals.toLowerCase()}`)
    .replace(/[^a-z0-9_]/g, '_')
    .replace(/^_/, '')
}
