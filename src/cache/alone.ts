import { runComputation } from './computation.js'
import type { Job, LoaderOptions } from './job.js'
import type { Held } from './values.js'

const SHARED_MS = 500

/** Computations of those who have waited long enough: nothing is stored, but all who asked before one began share it. */
export class Alone {
  readonly #options: LoaderOptions
  readonly #running = new Map<string, { readonly begunAt: number; readonly promise: Promise<Held> }>()

  constructor(options: LoaderOptions) {
    this.#options = options
  }

  /** `onBegin` is told when the computation began whose result this is. */
  run(job: Job, arrivedAt: number, onBegin?: (begunAt: number) => void): Promise<Held> {
    this.#options.counters.waitTimeouts++
    const present = this.#running.get(job.entryKey)
    if (present !== undefined && present.begunAt >= arrivedAt) {
      onBegin?.(present.begunAt)
      return present.promise
    }
    const alone = {
      begunAt: performance.now(),
      promise: runComputation(job.compute, job.policy, this.#options).then(({ held }) => held),
    }
    this.#running.set(job.entryKey, alone)
    onBegin?.(alone.begunAt)
    const forget = (): void => {
      if (this.#running.get(job.entryKey) === alone) this.#running.delete(job.entryKey)
    }
    // Deadlines of callers who came together pass one after the other: the result waits for the rest of them.
    alone.promise.then(() => setTimeout(forget, SHARED_MS).unref(), forget)
    return alone.promise
  }
}
