import type { IncomingMessage } from 'node:http'
import { type Awaitable, isPromise } from '../shared/awaitable.js'
import type { Lookup, Resource } from './found.js'
import type { Responses } from './responses.js'

interface Prefetched {
  readonly resource: Resource
  readonly found: Awaitable<Lookup>
  /** Of the store, when the read began. */
  readonly epoch: number
}

/** Reads that were started before their middleware runs, so that they share a round trip with what stands in front. */
export class Prefetches {
  readonly #responses: Responses
  /** Not on the request, where the front lane looks for what middlewares have left. */
  readonly #begun = new WeakMap<IncomingMessage, Prefetched>()

  constructor(responses: Responses) {
    this.#responses = responses
  }

  start(req: IncomingMessage, resource: Resource, tags: readonly string[]): void {
    const now = Date.now()
    if (this.#begun.has(req) || this.#responses.peek(resource, req.headers, now) !== undefined) return
    const { epoch } = this.#responses.store
    const found = this.#responses.find(resource, req.headers, tags, now)
    // Whoever started it may never take it.
    found.catch(() => {})
    this.keep(req, resource, found, epoch)
  }

  /** A read that somebody else has begun, or ended. */
  keep(req: IncomingMessage, resource: Resource, found: Awaitable<Lookup>, epoch: number): void {
    this.#begun.set(req, { resource, found, epoch })
  }

  /** The read that was started for this request, once. */
  take(req: IncomingMessage, { key }: Resource): Awaitable<Lookup> | undefined {
    const prefetched = this.#begun.get(req)
    if (prefetched === undefined) return undefined
    this.#begun.delete(req)
    const { resource, found, epoch } = prefetched
    // A middleware in front may have invalidated what was found.
    if (resource.key !== key || epoch !== this.#responses.store.epoch) return undefined
    // A middleware in front may have changed the headers by which variants are told apart.
    return isPromise(found) || this.#responses.isFor(resource, req.headers, found) ? found : undefined
  }
}
