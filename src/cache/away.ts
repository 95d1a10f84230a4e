import { runComputation } from './computation.js'
import { type Flights, RETRY } from './flight.js'
import type { Job, LoaderOptions } from './job.js'
import type { Held } from './values.js'

/** Loads while Redis is away: once per key at a time, and remembered where the fallback does. */
export class AwayLoader {
  readonly #options: LoaderOptions
  readonly #flights: Flights

  constructor(options: LoaderOptions, flights: Flights) {
    this.#options = options
    this.#flights = flights
  }

  async load(job: Job): Promise<Held> {
    const { memory, redis, counters, report } = this.#options
    const kept = redis.available ? undefined : memory?.get(job.entryKey, Date.now())
    if (kept !== undefined) {
      counters.memoryHits++
      report({ outcome: 'hit', tier: 'memory' })
      return kept
    }
    const present = this.#flights.get(job.entryKey)
    if (present !== undefined && present.epoch === job.store.epoch) {
      const held = await present.promise
      if (held !== RETRY) return held
    }
    const held = await this.#flights.start(job.entryKey, job.store.epoch, async (flight) => {
      flight.begunAt = performance.now()
      return this.#compute(job)
    })
    return held as Held
  }

  async #compute(job: Job): Promise<Held> {
    const { memory, redis } = this.#options
    const { epoch } = job.store
    const { held, packed, ttlMs } = await runComputation(job.compute, job.policy, this.#options)
    // What an invalidation of this process has outdated meanwhile is not kept.
    if (packed !== undefined && !redis.available && epoch === job.store.epoch) {
      memory?.set(job.entryKey, held, 2 * packed.body.length, Date.now() + ttlMs)
    }
    return held
  }
}
