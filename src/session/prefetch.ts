import type { SessionCore } from './core.js'
import type { Found } from './record.js'

interface Started {
  readonly id: string
  /** Cookies that the id was found in: the signature of the same text is not checked twice. */
  readonly cookie: string | undefined
  /** Has not restarted the idle time: whether the request is let through to its session is not known yet. */
  readonly found: Promise<Found>
}

interface Request {
  readonly headers: { readonly cookie?: string | undefined }
}

type Holder = Record<symbol, Started | undefined>

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

  start(request: Request, id: string): void {
    // Taking a session over from elsewhere writes.
    if (this.#core.migrates || this.#key in request) return
    const found = this.#core.find(id)
    found.catch(() => {})
    ;(request as unknown as Holder)[this.#key] = { id, cookie: request.headers.cookie, found }
  }

  /** Whose session was read ahead for this request, where its cookies are still the same. */
  idOf(request: Request): string | undefined {
    const started = (request as unknown as Holder)[this.#key]
    return started !== undefined && started.cookie === request.headers.cookie ? started.id : undefined
  }

  /** The read that was started for this request, which from now on counts as use of the session. */
  take(request: Request, id: string, touchAfter: number): Promise<Found> | undefined {
    const holder = request as unknown as Holder
    const started = holder[this.#key]
    if (started === undefined || started.id !== id) return undefined
    // For one use: until another the request may have ended the session.
    holder[this.#key] = undefined
    started.found.then(
      (found) => {
        if (found.status === 'found') this.#core.repository.keepAlive(found.record, touchAfter)
      },
      () => {},
    )
    return started.found
  }
}
