import type { FeatureStatus } from '../../redis/index.js'
import type { Counter } from './counters.js'
import type { Operations } from './operations.js'

/** hit ÷ (hit + stale + miss) of every counter that knows hits and was asked, by its name. */
export function hitRatiosOf(counters: Iterable<Counter>): Record<string, number> {
  const ratios = [...counters].flatMap((counter) => {
    const ratio = counter.labels.includes('outcome') ? hitRatio(counter) : undefined
    return ratio === undefined ? [] : [[counter.name, ratio] as const]
  })
  return Object.fromEntries(ratios)
}

function hitRatio(counter: Counter): number | undefined {
  const samples = counter.samples()
  const sum = (outcome: string): number =>
    samples.reduce((total, { labels, value }) => total + (labels.outcome === outcome ? value : 0), 0)
  const hits = sum('hit')
  const asked = hits + sum('stale') + sum('miss')
  return asked === 0 ? undefined : hits / asked
}

/** What counting knows, for health reports: `response_cache_requests` is shown as `responseCacheHitRatio`. */
export function statusOf(calls: Operations, counters: Iterable<Counter>): FeatureStatus {
  let [made, ok] = [0, 0]
  for (const operation of calls.byName.values()) {
    made += operation.ok + operation.error + operation.timeout + operation.refused
    ok += operation.ok
  }
  const ratios = Object.entries(hitRatiosOf(counters)).map(
    ([name, ratio]) => [`${camel(name)}HitRatio`, ratio] as const,
  )
  return {
    status: 'pass',
    values: { redisCalls: made, redisSuccessRatio: made === 0 ? undefined : ok / made, ...Object.fromEntries(ratios) },
  }
}

function camel(name: string): string {
  return name.replace(/_requests$/, '').replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
}
