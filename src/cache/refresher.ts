import type { Filling } from './filling.js'
import type { Job, LoaderOptions } from './job.js'
import { markOf } from './store.js'

/** After a renewal that failed, or that others did. */
const COOL_DOWN_MS = 500

/** Renews values in the background: one at a time per key, so many at a time in all. */
export class Refresher {
  readonly #options: LoaderOptions
  readonly #filling: Filling
  readonly #refreshing = new Set<string>()

  constructor(options: LoaderOptions, filling: Filling) {
    this.#options = options
    this.#filling = filling
  }

  /** Unless somebody else does, or has done so since the value was `seen`. */
  refresh(job: Job, seen: { readonly createdAt: number }): void {
    const { counters, maxRefreshes, onRefreshError } = this.#options
    if (this.#refreshing.has(job.entryKey) || this.#refreshing.size >= maxRefreshes) return
    this.#refreshing.add(job.entryKey)
    const done = (): void => void this.#refreshing.delete(job.entryKey)
    const doneLater = (): void => void setTimeout(done, COOL_DOWN_MS).unref()
    this.#run(job, seen).then(
      (renewed) => (renewed ? done() : doneLater()),
      (error) => {
        counters.refreshErrors++
        onRefreshError(error)
        doneLater()
      },
    )
  }

  async #run(job: Job, seen: { readonly createdAt: number }): Promise<boolean> {
    const begun = await this.#filling.begin(job, markOf(seen))
    if (begun.state !== 'leading') return false
    this.#options.counters.refreshes++
    await this.#filling.run(job, begun)
    return true
  }
}
