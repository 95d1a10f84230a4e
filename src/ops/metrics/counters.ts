import { OTHER } from './operations.js'

/** One counter with its label values. */
export interface CounterSample {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

interface Series {
  readonly labels: Readonly<Record<string, string>>
  value: number
}

type Level = Map<string, Level | Series>

const MAX_VALUE = 100

/**
 * A counter by a few labels. Series are found by walking one map per label, so that counting allocates nothing once a
 * series exists; what is beyond `max` series is counted as `other`.
 */
export class Counter {
  /** Events counted as `other` for want of room. */
  overflow = 0
  readonly name: string
  readonly help: string
  readonly labels: readonly string[]
  readonly #max: number
  readonly #root: Level = new Map()
  readonly #series: Series[] = []
  #other: Series | undefined

  constructor(name: string, help: string, labels: readonly string[], max: number) {
    this.name = name
    this.help = help
    this.labels = labels
    this.#max = max
    if (labels.length === 0) this.#other = this.#make([])
  }

  /** `event` holds the values by label name; what is missing counts as empty. */
  count(event: Readonly<Record<string, unknown>>, amount: number): void {
    this.#find(event).value += amount
  }

  samples(): CounterSample[] {
    return this.#series.map(({ labels, value }) => ({ labels, value }))
  }

  #find(event: Readonly<Record<string, unknown>>): Series {
    const last = this.labels.length - 1
    if (last < 0) return this.#other as Series
    let level = this.#root
    for (let index = 0; index < last; index++) {
      const next = level.get(labelOf(event[this.labels[index] as string]))
      if (next === undefined) return this.#add(event)
      level = next as Level
    }
    return (level.get(labelOf(event[this.labels[last] as string])) as Series | undefined) ?? this.#add(event)
  }

  #add(event: Readonly<Record<string, unknown>>): Series {
    const values = this.labels.map((label) => labelOf(event[label]))
    if (this.#series.length >= this.#max || values.some((value) => value.length > MAX_VALUE)) {
      this.overflow++
      this.#other ??= this.#make(this.labels.map(() => OTHER))
      return this.#other
    }
    const series = this.#make(values)
    let level = this.#root
    for (const value of values.slice(0, -1)) {
      const next = (level.get(value) as Level | undefined) ?? new Map()
      level.set(value, next)
      level = next
    }
    level.set(values.at(-1) as string, series)
    return series
  }

  #make(values: readonly string[]): Series {
    const series = { labels: Object.fromEntries(this.labels.map((label, i) => [label, values[i] as string])), value: 0 }
    this.#series.push(series)
    return series
  }
}

function labelOf(value: unknown): string {
  return typeof value === 'string' ? value : value === undefined || value === null ? '' : String(value)
}
