interface Entry<Value> {
  readonly value: Value
  readonly bytes: number
  readonly since: number
}

interface Flight<Value> {
  readonly promise: Promise<Value | undefined>
  dirty: boolean
}

/** For the map and the bookkeeping of an entry. */
const OVERHEAD = 200

/**
 * What was read lately, bounded in bytes, the longest unused first to go. A read that an invalidation overtakes is not
 * kept, nor joined by those that ask after the invalidation.
 */
export class LocalTier<Value> {
  readonly #entries = new Map<string, Entry<Value>>()
  readonly #flights = new Map<string, Flight<Value>>()
  readonly #ttl: number
  readonly #maxBytes: number
  readonly #sizeOf: (value: Value) => number
  bytes = 0

  constructor(ttl: number, maxBytes: number, sizeOf: (value: Value) => number) {
    this.#ttl = ttl
    this.#maxBytes = maxBytes
    this.#sizeOf = sizeOf
  }

  /** The value, if it was read within the ttl. */
  fresh(key: string): Value | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined || performance.now() - entry.since >= this.#ttl) return undefined
    this.#entries.delete(key)
    this.#entries.set(key, entry)
    return entry.value
  }

  /** The value, if it is fresh; else what `fetch` finds, once for all who ask meanwhile. */
  async read(key: string, fetch: () => Promise<Value | undefined>): Promise<Value | undefined> {
    const fresh = this.fresh(key)
    if (fresh !== undefined) return fresh
    const joined = this.#flights.get(key)
    if (joined !== undefined) return joined.promise
    const since = performance.now()
    const flight: Flight<Value> = { dirty: false, promise: fetch() }
    this.#flights.set(key, flight)
    try {
      const value = await flight.promise
      if (value !== undefined && !flight.dirty) this.#keep(key, value, since)
      return value
    } finally {
      if (this.#flights.get(key) === flight) this.#flights.delete(key)
    }
  }

  /** The last that was known, however old, of what nobody has said to be outdated. */
  last(key: string): Value | undefined {
    return this.#entries.get(key)?.value
  }

  forget(key: string): void {
    this.#drop(key)
    const flight = this.#flights.get(key)
    if (flight === undefined) return
    flight.dirty = true
    this.#flights.delete(key)
  }

  clear(): void {
    for (const flight of this.#flights.values()) flight.dirty = true
    this.#flights.clear()
    this.#entries.clear()
    this.bytes = 0
  }

  #keep(key: string, value: Value, since: number): void {
    this.#drop(key)
    const bytes = this.#sizeOf(value) + 2 * key.length + OVERHEAD
    if (bytes > this.#maxBytes) return
    this.#entries.set(key, { value, bytes, since })
    this.bytes += bytes
    for (const oldest of this.#entries.keys()) {
      if (this.bytes <= this.#maxBytes) break
      this.#drop(oldest)
    }
  }

  #drop(key: string): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    this.#entries.delete(key)
    this.bytes -= entry.bytes
  }
}
