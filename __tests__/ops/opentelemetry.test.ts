import { afterEach, describe, expect, it } from '@jest/globals'
import { context, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { createMetrics } from '../../src/ops/index.js'
import { type OpenTelemetry, openTelemetry } from '../../src/ops/opentelemetry/index.js'
import { createRedisManager, type RedisManager } from '../../src/redis/index.js'
import { useRedis } from '../support/use-redis.js'

const spans = new InMemorySpanExporter()
const tracers = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] })
const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })
const meters = new MeterProvider({ readers: [reader] })

let redis: RedisManager
let telemetry: OpenTelemetry

useRedis(
  (own) => {
    redis = own.redis
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  },
  {
    close: async () => {
      context.disable()
      await Promise.all([tracers.shutdown(), meters.shutdown()])
    },
  },
)
afterEach(() => {
  telemetry.close()
  spans.reset()
})

async function collected(name: string) {
  await reader.forceFlush()
  const latest = exporter.getMetrics().at(-1)
  return latest?.scopeMetrics.flatMap(({ metrics }) => metrics).find(({ descriptor }) => descriptor.name === name)
}

describe('openTelemetry', () => {
  it('makes a client span within the caller’s for every call to Redis', async () => {
    telemetry = openTelemetry({ redis, meter: false, tracer: tracers.getTracer('test') })
    const tracer = tracers.getTracer('app')
    await tracer.startActiveSpan('request', async (parent) => {
      await Promise.all([
        redis.execute('profile.read', (client) => client.get('a')),
        context.with(trace.setSpan(context.active(), tracer.startSpan('other')), () =>
          redis.execute('other.read', (client) => client.get('b')),
        ),
      ])
      parent.end()
    })
    const finished = spans.getFinishedSpans()
    const [read, other, request] = ['profile.read', 'other.read', 'request'].map((name) =>
      finished.find((span) => span.name === name),
    )
    expect(read?.parentSpanContext?.spanId).toBe(request?.spanContext().spanId)
    expect(other?.parentSpanContext?.spanId).not.toBe(request?.spanContext().spanId)
    expect(read?.kind).toBe(SpanKind.CLIENT)
    expect(read?.attributes).toEqual({ 'db.system.name': 'redis', 'db.operation.name': 'profile.read' })
    expect(read?.status.code).toBe(SpanStatusCode.UNSET)
  })

  it('names what Redis answered by the semantic conventions, and no key or value', async () => {
    telemetry = openTelemetry({ redis, meter: false, tracer: tracers.getTracer('test') })
    await redis.execute('seed', (client) => client.set('text', 'secret'))
    await redis.attempt(
      'push',
      (client) => client.lpush('text', 'secret'),
      () => 0,
    )
    const failed = spans.getFinishedSpans().find(({ name }) => name === 'push')
    expect(failed?.status).toEqual({ code: SpanStatusCode.ERROR })
    expect(failed?.attributes).toEqual({
      'db.system.name': 'redis',
      'db.operation.name': 'push',
      'db.response.status_code': 'WRONGTYPE',
      'error.type': 'WRONGTYPE',
    })
    expect(
      JSON.stringify(spans.getFinishedSpans().map(({ attributes, events }) => ({ attributes, events }))),
    ).not.toContain('secret')
  })

  it('records db.client.operation.duration in seconds, with the advised boundaries', async () => {
    telemetry = openTelemetry({ redis, meter: meters.getMeter('calls'), tracer: false })
    const took: number[] = []
    const off = redis.on('redis.call', ({ durationMs }) => void took.push(durationMs))
    await redis.execute('measured', (client) => client.ping())
    off()
    const metric = await collected('db.client.operation.duration')
    expect(metric?.descriptor).toMatchObject({ unit: 's', name: 'db.client.operation.duration' })
    const point = metric?.dataPoints.find(({ attributes }) => attributes['db.operation.name'] === 'measured')
    const value = point?.value as { count: number; sum: number; buckets: { boundaries: number[] } }
    expect(value.count).toBe(1)
    expect(value.sum).toBeCloseTo((took[0] as number) / 1000, 9)
    expect(value.buckets.boundaries).toEqual([0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10])
    expect(spans.getFinishedSpans()).toEqual([])
  })

  it('shows the counters of features, and gauges that appear later', async () => {
    const metrics = createMetrics({ redis })
    telemetry = openTelemetry({ redis, metrics, meter: meters.getMeter('features'), tracer: false })
    redis.emit('session.created', { session: 'hash' })
    await collected('holdfast.sessions_created')
    const off = redis.register({ feature: 'lock', status: () => ({ status: 'pass', values: { waitingMs: 2000 } }) })
    await new Promise((resolve) => setTimeout(resolve, 25))
    await collected('holdfast.lock_waiting')
    const waiting = await collected('holdfast.lock_waiting')
    expect(waiting?.descriptor.unit).toBe('s')
    expect(waiting?.dataPoints[0]?.value).toBe(2)
    expect((await collected('holdfast.sessions_created'))?.dataPoints[0]?.value).toBe(1)
    off()
    await metrics.close()
  })

  it('records the times that outcomes carry, in seconds, by their labels', async () => {
    const metrics = createMetrics({ redis })
    telemetry = openTelemetry({ redis, metrics, meter: meters.getMeter('times'), tracer: false })
    redis.emit('lock', { outcome: 'timeout', key: 'secret', waitedMs: 1500 })
    const waits = await collected('holdfast.lock_wait')
    expect(waits?.descriptor.unit).toBe('s')
    expect(waits?.dataPoints).toMatchObject([{ attributes: { outcome: 'timeout' }, value: { count: 1, sum: 1.5 } }])
    expect(JSON.stringify(waits)).not.toContain('secret')
    telemetry.close()
    redis.emit('lock', { outcome: 'timeout', key: 'secret', waitedMs: 1500 })
    expect((await collected('holdfast.lock_wait'))?.dataPoints[0]?.value).toMatchObject({ count: 1 })
    await metrics.close()
  })

  it('makes neither for calls that were never made', async () => {
    const absent = createRedisManager({ env: {}, logger: false })
    telemetry = openTelemetry({ redis: absent, meter: false, tracer: tracers.getTracer('test') })
    await absent.attempt(
      'read',
      async () => 1,
      () => 0,
    )
    expect(spans.getFinishedSpans()).toEqual([])
    await absent.close()
  })

  it('does nothing where no SDK was started, and refuses what it does not know', () => {
    telemetry = openTelemetry({ redis })
    expect(() => openTelemetry({ redis, metre: 1 } as never)).toThrow('openTelemetry: "metre" is not an option')
    expect(() => openTelemetry({ redis, meter: true } as never)).toThrow('openTelemetry: "meter" must be')
  })
})
