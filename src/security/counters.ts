import type { Measure, Reading, SeriesMeasure, SetMeasure } from './detectors/detector.js'

/** A measure with the time of its signal. */
export interface Asked {
  readonly measure: Measure
  readonly at: number
}

/** Sliding counters: readings in the order of the measures, each as if it came alone after the one before. */
export interface Counters {
  apply(asked: readonly Asked[]): Promise<readonly Reading[]>
}

export const NOTHING: Reading = { count: 0, added: false, entries: [], series: new Map() }
export const DEFAULT_CAP = 100

interface LocalSet {
  readonly members: Map<string, number>
  expires: number
}

/**
 * Counters of this process: for tests, replays, and while Redis is away. At most `maxKeys` of them, the least recently
 * used are forgotten first, so that a million addresses cost no more than `maxKeys`.
 */
export function createLocalCounters({ maxKeys = 50_000 }: { readonly maxKeys?: number } = {}): Counters & {
  readonly size: number
  applyNow(asked: readonly Asked[]): Reading[]
} {
  const sets = new Map<string, LocalSet>()
  const series = new Map<string, Map<number, Record<string, number>>>()

  function setOf(key: string, expires: number): LocalSet {
    const existing = sets.get(key)
    const set = existing ?? { members: new Map(), expires }
    set.expires = Math.max(set.expires, expires)
    sets.delete(key)
    sets.set(key, set)
    if (existing === undefined && sets.size > maxKeys) {
      const [oldest] = sets.keys()
      if (oldest !== undefined) sets.delete(oldest)
    }
    return set
  }

  function applySet(
    { op, key, member = '', window, cap = DEFAULT_CAP, entries = false }: SetMeasure,
    at: number,
  ): Reading {
    if (op === 'clear') {
      sets.delete(key)
      return NOTHING
    }
    const set = op === 'read' ? sets.get(key) : setOf(key, at + window)
    if (set === undefined) return NOTHING
    const { members } = set
    let added = false
    if (op === 'add') {
      for (const [name, time] of members) if (time <= at - window) members.delete(name)
      added = !members.has(member)
      const time = Math.max(at, members.get(member) ?? at)
      members.delete(member)
      members.set(member, time)
      if (members.size > cap) {
        const oldest = [...members].sort(byTime).slice(0, members.size - cap)
        for (const [name] of oldest) members.delete(name)
      }
    }
    const live = [...members].filter(([, time]) => time > at - window)
    return { count: live.length, added, entries: entries ? live.sort(byTime) : [], series: NOTHING.series }
  }

  function applySeries({ key, fields, bucket, buckets }: SeriesMeasure, at: number): Reading {
    const totals = series.get(key) ?? new Map<number, Record<string, number>>()
    series.set(key, totals)
    const start = at - (at % bucket)
    const current = totals.get(start) ?? {}
    for (const field of fields) current[field] = (current[field] ?? 0) + 1
    totals.set(start, current)
    for (const time of totals.keys()) if (time <= start - bucket * buckets) totals.delete(time)
    return { ...NOTHING, series: totals }
  }

  const applyNow = (asked: readonly Asked[]): Reading[] =>
    asked.map(({ measure, at }) => (measure.op === 'tally' ? applySeries(measure, at) : applySet(measure, at)))
  return {
    get size() {
      return sets.size
    },
    applyNow,
    apply: (asked) => Promise.resolve(applyNow(asked)),
  }
}

function byTime(a: readonly [string, number], b: readonly [string, number]): number {
  return a[1] - b[1] || (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0)
}
