import type { MetricFamily } from '../metrics/families.js'

/** What is used of prom-client's `Registry`, so that its types are needed by nobody. */
export interface PrometheusRegistry {
  readonly contentType: string
  metrics(): Promise<string>
  registerMetric(metric: never): void
  removeSingleMetric(name: string): void
}

interface PromValue {
  readonly metricName?: string
  readonly labels: Readonly<Record<string, string | number>>
  readonly value: number
}

/** All metrics of one scrape are read at once. */
const ONE_SCRAPE_MS = 20

/**
 * Keeps one metric in the registry per family. Their numbers are read when the registry is scraped, so that counting
 * costs nothing of prom-client's.
 */
export function registerFamilies(registry: PrometheusRegistry, families: () => readonly MetricFamily[]): () => void {
  const registered = new Map<string, { family: MetricFamily }>()
  let readAt = Number.NEGATIVE_INFINITY
  /** Makes families that have appeared since known; they show from this scrape, or in a foreign endpoint the next. */
  const refresh = (): void => {
    readAt = performance.now()
    for (const family of families()) {
      const known = registered.get(family.name)
      if (known !== undefined) {
        known.family = family
        continue
      }
      const metric = metricOf(family)
      registry.registerMetric(metric as never)
      registered.set(family.name, metric)
    }
  }

  function metricOf(family: MetricFamily) {
    return {
      family,
      // OpenMetrics registries take `_total` off the name of a counter.
      name: family.name,
      help: family.help,
      type: family.type,
      aggregator: 'sum',
      async get() {
        if (performance.now() - readAt > ONE_SCRAPE_MS) refresh()
        const { name, help, type, aggregator } = this
        return { name, help, type, aggregator, values: valuesOf(this.family) }
      },
      reset() {},
    }
  }

  refresh()
  return refresh
}

function valuesOf(family: MetricFamily): PromValue[] {
  if (family.type !== 'histogram') return [...family.samples]
  return family.samples.flatMap(({ labels, buckets, count, sum }): PromValue[] => [
    ...buckets.map(([le, value]) => ({ metricName: `${family.name}_bucket`, labels: { ...labels, le }, value })),
    { metricName: `${family.name}_bucket`, labels: { ...labels, le: '+Inf' }, value: count },
    { metricName: `${family.name}_sum`, labels, value: sum },
    { metricName: `${family.name}_count`, labels, value: count },
  ])
}
