import { type Labels, SeriesByLabels } from './series.js'

/** One counter with its label values. */
export interface CounterSample {
  readonly labels: Labels
  readonly value: number
}

/** A counter by a few labels. */
export class Counter {
  readonly name: string
  readonly help: string
  readonly #series: SeriesByLabels<number>

  constructor(name: string, help: string, labels: readonly string[], max: number) {
    this.name = name
    this.help = help
    this.#series = new SeriesByLabels(labels, max, () => 0)
  }

  get labels(): readonly string[] {
    return this.#series.labels
  }

  get overflow(): number {
    return this.#series.overflow
  }

  count(event: Readonly<Record<string, unknown>>, amount: number): void {
    this.#series.of(event).value += amount
  }

  samples(): CounterSample[] {
    return this.#series.all.map(({ labels, value }) => ({ labels, value }))
  }
}
