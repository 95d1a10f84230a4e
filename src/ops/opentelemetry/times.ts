import type { Attributes, Meter } from '@opentelemetry/api'
import type { RedisManager } from '../../redis/index.js'
import type { EventCatalogue } from '../../shared/events.js'
import { COUNTED, type TimedEvent } from '../metrics/counted.js'

/** From a millisecond to a minute and more, in seconds. */
const BOUNDARIES = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 50, 100]

/** Records the times that outcomes carry in histograms, as they happen: histograms cannot be observed later. */
export function recordTimes(meter: Meter, redis: RedisManager): (() => void)[] {
  return (Object.keys(COUNTED) as (keyof EventCatalogue)[]).flatMap((type) =>
    (COUNTED[type]?.times ?? []).map((timed) => record(meter, redis, type, timed as TimedEvent<unknown>)),
  )
}

function record(meter: Meter, redis: RedisManager, type: keyof EventCatalogue, timed: TimedEvent<unknown>): () => void {
  const { name, help, ms } = timed
  const labels = (timed.labels ?? []) as readonly string[]
  const histogram = meter.createHistogram(`holdfast.${name}`, {
    description: help,
    unit: 's',
    advice: { explicitBucketBoundaries: BOUNDARIES },
  })
  return redis.on(type, (event) => {
    const duration = ms(event)
    if (duration === undefined) return
    const values = event as unknown as Attributes
    histogram.record(duration / 1000, Object.fromEntries(labels.map((label) => [label, values[label]])))
  })
}
