import { OTHER } from './operations.js'

export type Labels = Readonly<Record<string, string>>

/** One value with its labels. */
export interface Series<Value> {
  readonly labels: Labels
  value: Value
}

type Level<Value> = Map<string, Level<Value> | Series<Value>>

const MAX_VALUE = 100

/**
 * Values by a few labels. Series are found by walking one map per label, so that counting allocates nothing once a series
 * exists; what is beyond `max` series is counted as `other`.
 */
export class SeriesByLabels<Value> {
  /** Events counted as `other` for want of room. */
  overflow = 0
  readonly labels: readonly string[]
  readonly all: readonly Series<Value>[]
  readonly #first: () => Value
  readonly #max: number
  readonly #root: Level<Value> = new Map()
  readonly #series: Series<Value>[] = []
  #other: Series<Value> | undefined

  constructor(labels: readonly string[], max: number, first: () => Value) {
    this.labels = labels
    this.all = this.#series
    this.#max = max
    this.#first = first
  }

  /** `event` holds the values by label name; what is missing counts as empty. */
  of(event: Readonly<Record<string, unknown>>): Series<Value> {
    const last = this.labels.length - 1
    if (last < 0) {
      this.#other ??= this.#make([])
      return this.#other
    }
    let level = this.#root
    for (let index = 0; index < last; index++) {
      const next = level.get(labelOf(event[this.labels[index] as string]))
      if (next === undefined) return this.#add(event)
      level = next as Level<Value>
    }
    const found = level.get(labelOf(event[this.labels[last] as string])) as Series<Value> | undefined
    return found ?? this.#add(event)
  }

  #add(event: Readonly<Record<string, unknown>>): Series<Value> {
    const values = this.labels.map((label) => labelOf(event[label]))
    if (this.#series.length >= this.#max || values.some((value) => value.length > MAX_VALUE)) {
      this.overflow++
      this.#other ??= this.#make(this.labels.map(() => OTHER))
      return this.#other
    }
    const series = this.#make(values)
    let level = this.#root
    for (const value of values.slice(0, -1)) {
      const next = (level.get(value) as Level<Value> | undefined) ?? new Map()
      level.set(value, next)
      level = next
    }
    level.set(values.at(-1) as string, series)
    return series
  }

  #make(values: readonly string[]): Series<Value> {
    const labels = Object.fromEntries(this.labels.map((label, i) => [label, values[i] as string]))
    const series = { labels, value: this.#first() }
    this.#series.push(series)
    return series
  }
}

function labelOf(value: unknown): string {
  return typeof value === 'string' ? value : value === undefined || value === null ? '' : String(value)
}
