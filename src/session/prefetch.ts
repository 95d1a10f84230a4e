import type { SessionCore } from './core.js'
import type { Found } from './record.js'

interface Started {
  readonly id: string
  /** Has not restarted the idle time: whether the request is let through to its session is not known yet. */
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
    Object.assign(request, { [this.#key]: { id, found } satisfies Started })
  }

  /** The read that was started for this request, which from now on counts as use of the session. */
  take(request: object, id: string, touchAfter: number): Promise<Found> | undefined {
    const started = (request as Record<symbol, unknown>)[this.#key] as Started | undefined
    if (started === undefined || started.id !== id) return undefined
    started.found.then(
      (found) => {
        if (found.status === 'found') this.#core.repository.keepAlive(found.record, touchAfter)
      },
      () => {},
    )
    return started.found
  }
}
