import type { Meter, ObservableCounter, ObservableGauge } from '@opentelemetry/api'
import type { MetricFamily } from '../metrics/families.js'

type Instrument = ObservableCounter | ObservableGauge

const ONE_COLLECTION_MS = 20

/**
 * Shows counters and gauges as observable instruments, read when the SDK collects. Histograms are not:
 * times are recorded as they happen. Families that appear later are picked up by the next collection.
 */
export function observeFamilies(meter: Meter, families: () => readonly MetricFamily[]): () => void {
  const instruments = new Map<string, { readonly instrument: Instrument; readonly off: () => void }>()
  let stopped = false
  let current: readonly MetricFamily[] = []
  let readAt = Number.NEGATIVE_INFINITY

  const refresh = (): readonly MetricFamily[] => {
    // All instruments of one collection are read at once.
    if (performance.now() - readAt < ONE_COLLECTION_MS) return current
    readAt = performance.now()
    current = families()
    for (const family of current) {
      if (!stopped && family.type !== 'histogram' && !instruments.has(family.name)) {
        instruments.set(family.name, observe(family))
      }
    }
    return current
  }

  function observe({ name, help, type }: MetricFamily) {
    const { dotted, unit } = namedForOpenTelemetry(name)
    const options = { description: help, ...(unit === undefined ? {} : { unit }) }
    const instrument =
      type === 'counter' ? meter.createObservableCounter(dotted, options) : meter.createObservableGauge(dotted, options)
    const callback: Parameters<Instrument['addCallback']>[0] = (result) => {
      const family = refresh().find((each) => each.name === name)
      if (family === undefined || family.type === 'histogram') return
      for (const { labels, value } of family.samples) result.observe(value, labels)
    }
    instrument.addCallback(callback)
    return { instrument, off: () => instrument.removeCallback(callback) }
  }

  refresh()
  return () => {
    stopped = true
    for (const { off } of instruments.values()) off()
  }
}

/** `holdfast_limit_exceeded_total` is `holdfast.limit_exceeded`; units stand beside a name, not in it. */
function namedForOpenTelemetry(name: string): { dotted: string; unit: string | undefined } {
  const plain = name.replace(/^holdfast_/, 'holdfast.').replace(/_total$/, '')
  if (plain.endsWith('_seconds')) return { dotted: plain.slice(0, -'_seconds'.length), unit: 's' }
  return { dotted: plain, unit: plain.endsWith('_bytes') ? 'By' : undefined }
}
