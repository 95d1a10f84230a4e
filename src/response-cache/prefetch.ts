import type { IncomingMessage } from 'node:http'
import type { Lookup, Resource, Responses } from './responses.js'

interface Prefetched {
  readonly resource: Resource
  readonly found: Promise<Lookup>
}

type Holder = Record<symbol, Prefetched | undefined>

/** Reads that were started before their middleware runs, so that they share a round trip with what stands in front. */
export class Prefetches {
  readonly #responses: Responses
  readonly #key = Symbol('holdfast response')

  constructor(responses: Responses) {
    this.#responses = responses
  }

  start(req: IncomingMessage, resource: Resource, tags: readonly string[]): void {
    const now = Date.now()
    const holder = req as unknown as Holder
    if (holder[this.#key] !== undefined || this.#responses.peek(resource, req.headers, now) !== undefined) return
    const found = this.#responses.find(resource, req.headers, tags, now)
    // Whoever started it may never take it.
    found.catch(() => {})
    holder[this.#key] = { resource, found }
  }

  /** The read that was started for this request, once. */
  take(req: IncomingMessage, { key }: Resource): Promise<Lookup> | undefined {
    const holder = req as unknown as Holder
    const prefetched = holder[this.#key]
    if (prefetched === undefined) return undefined
    holder[this.#key] = undefined
    return prefetched.resource.key === key ? prefetched.found : undefined
  }
}
