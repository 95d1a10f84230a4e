import {
  type Attributes,
  context,
  metrics as globalMetrics,
  type Histogram,
  type Meter,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import type { RedisCall, RedisManager } from '../../redis/index.js'
import { aManager, anObject, checkOptions, either, oneOf, type Rules, requireOptions } from '../../shared/options.js'
import type { Metrics } from '../metrics/metrics.js'
import { observeFamilies } from './families.js'
import { recordTimes } from './times.js'

export interface OpenTelemetryOptions {
  readonly redis: RedisManager
  /** What features count and time, besides the duration of calls. */
  readonly metrics?: Metrics | undefined
  /** `false`: no metrics. @default the meter "holdfast" of the global provider */
  readonly meter?: Meter | false | undefined
  /** `false`: no spans. @default the tracer "holdfast" of the global provider */
  readonly tracer?: Tracer | false | undefined
}

export interface OpenTelemetry {
  /** Stops measuring. Idempotent. */
  close(): void
}

const rules: Rules<OpenTelemetryOptions> = {
  redis: aManager,
  metrics: anObject,
  meter: either(anObject, oneOf(false)),
  tracer: either(anObject, oneOf(false)),
}

/** Advised for `db.client.operation.duration` by the semantic conventions, in seconds. */
const BOUNDARIES = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10]

/**
 * Reports every call to Redis by the OpenTelemetry semantic conventions for database clients (1.33): the histogram
 * `db.client.operation.duration` and a client span within the caller's. Names are those of operations, such as
 * `rate-limit.consume`; no key, value or host name leaves. Call it after the SDK was started. Calls that were refused
 * because Redis is known to be away were not made, and are in the counters of `metrics` alone.
 *
 * @example
 * ```ts
 * import { createRedisManager } from 'holdfast'
 * import { createMetrics } from 'holdfast/ops'
 * import { openTelemetry } from 'holdfast/ops/opentelemetry'
 *
 * const redis = createRedisManager()
 * openTelemetry({ redis, metrics: createMetrics({ redis }) })
 * ```
 */
export function openTelemetry(options: OpenTelemetryOptions): OpenTelemetry {
  checkOptions('openTelemetry', options, rules)
  requireOptions('openTelemetry', options, rules, 'redis')
  const { redis, metrics } = options
  const { meter = globalMetrics.getMeter('holdfast'), tracer = trace.getTracer('holdfast') } = options
  const durations = meter === false ? undefined : durationsOf(meter)
  const offs = [
    redis.on('redis.call', (call) => {
      if (call.outcome === 'refused') return
      const attributes = attributesOf(call)
      durations?.record(call.durationMs / 1000, attributes)
      if (tracer !== false) span(tracer, call, attributes)
    }),
  ]
  if (meter !== false && metrics !== undefined) {
    offs.push(observeFamilies(meter, metrics.families), ...recordTimes(meter, redis))
  }
  return {
    close() {
      for (const off of offs) off()
    },
  }
}

function durationsOf(meter: Meter): Histogram {
  return meter.createHistogram('db.client.operation.duration', {
    description: 'Duration of database client operations.',
    unit: 's',
    advice: { explicitBucketBoundaries: BOUNDARIES },
  })
}

function attributesOf({ operation, outcome, error }: RedisCall): Attributes {
  const failure = error ?? (outcome === 'timeout' ? 'timeout' : undefined)
  return {
    'db.system.name': 'redis',
    'db.operation.name': operation,
    ...(failure === undefined ? {} : { 'error.type': failure }),
    // Only what Redis itself answered is a status of its.
    ...(error !== undefined && /^[A-Z]+$/.test(error) ? { 'db.response.status_code': error } : {}),
  }
}

/** Made when the call has ended, with the times it had: the caller's context is still the active one. */
function span(tracer: Tracer, { operation, outcome, durationMs }: RedisCall, attributes: Attributes): void {
  const endTime = Date.now()
  const startTime = endTime - durationMs
  const made = tracer.startSpan(operation, { kind: SpanKind.CLIENT, startTime, attributes }, context.active())
  if (outcome !== 'ok') made.setStatus({ code: SpanStatusCode.ERROR })
  made.end(endTime)
}
