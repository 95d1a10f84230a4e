import { Histogram, type TimeStats } from './histogram.js'
import { type Labels, SeriesByLabels } from './series.js'

/** Times of one kind with their label values. */
export interface TimerSample extends TimeStats {
  readonly labels: Labels
  readonly count: number
}

/** Times by a few labels. */
export class Timer {
  readonly name: string
  readonly help: string
  readonly #series: SeriesByLabels<Histogram>

  constructor(name: string, help: string, labels: readonly string[], max: number) {
    this.name = name
    this.help = help
    this.#series = new SeriesByLabels(labels, max, () => new Histogram())
  }

  get overflow(): number {
    return this.#series.overflow
  }

  record(event: Readonly<Record<string, unknown>>, ms: number): void {
    this.#series.of(event).value.record(ms)
  }

  histograms(): readonly { readonly labels: Labels; readonly value: Histogram }[] {
    return this.#series.all
  }

  samples(): TimerSample[] {
    return this.#series.all.map(({ labels, value }) => ({ labels, count: value.count, ...value.stats() }))
  }
}
