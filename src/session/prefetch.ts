import type { SessionCore } from './core.js'
import type { Found } from './record.js'

type Holder = Record<symbol, unknown>

/** A read that has not restarted the idle time: whether the request is let through to its session is not known yet. */
export interface Prefetched {
  readonly id: string
  readonly found: Promise<Found>
}

/**
 * Reads of sessions that were started before their middleware runs, so that they share a round trip with what decides
 * whether it will run. A read that nobody takes changes nothing.
 */
export class Prefetches {
  readonly #core: SessionCore
  readonly #key = Symbol('holdfast session')

  constructor(core: SessionCore) {
    this.#core = core
  }

  start(request: object, id: string): void {
    // Taking a session over from elsewhere writes.
    if (this.#core.migrates || this.#key in request) return
    const found = this.#core.find(id)
    found.catch(() => {})
    ;(request as Holder)[this.#key] = { id, found } satisfies Prefetched
  }

  /** The read that was started for this request, once. */
  take(request: object): Prefetched | undefined {
    const prefetched = (request as Holder)[this.#key] as Prefetched | undefined
    if (prefetched !== undefined) (request as Holder)[this.#key] = undefined
    return prefetched
  }
}
