import { toMs } from '../shared/duration.js'
import type { Core } from './core.js'
import { checkKey } from './key.js'
import type { FreshnessOptions } from './options.js'
import type { Store } from './store.js'
import type { Resident } from './tier.js'
import type { Held } from './values.js'

/** Reads that compute nothing: what is there and fresh, in this process, in Redis, or in the fallback. */
export class Lookups {
  readonly #core: Core
  readonly #store: Store<Held>

  constructor(core: Core, store: Store<Held>) {
    this.#core = core
    this.#store = store
  }

  async get(key: string): Promise<unknown> {
    const near = this.#near(key)
    if (near !== undefined) return near.value.take()
    if (this.#core.disabled) return undefined
    const reading = await this.#store.read(key)
    if (reading.state === 'away') return this.#remembered(key)?.take()
    return reading.state === 'found' && isFresh(reading.resident) ? reading.resident.value.takeOnce() : undefined
  }

  async has(key: string): Promise<boolean> {
    return (await this.#resident(key)) !== undefined || this.#remembered(key) !== undefined
  }

  async ttl(key: string): Promise<number | undefined> {
    const resident = await this.#resident(key)
    return resident === undefined ? undefined : Math.max(0, Math.ceil(resident.freshUntil - Date.now()))
  }

  async getMany(keys: readonly string[]): Promise<Map<string, unknown>> {
    const found = new Map<string, unknown>()
    const rest: string[] = []
    for (const key of new Set(keys)) {
      const near = this.#near(key)
      if (near === undefined) rest.push(key)
      else found.set(key, near.value.take())
    }
    if (rest.length === 0 || this.#core.disabled) return found
    const readings = await this.#store.readMany(rest)
    for (const [index, reading] of readings.entries()) {
      const key = rest[index] as string
      if (reading.state === 'away') {
        const held = this.#remembered(key)
        if (held !== undefined) found.set(key, held.take())
      } else if (reading.state === 'found' && isFresh(reading.resident)) {
        found.set(key, reading.resident.value.takeOnce())
      }
    }
    return found
  }

  async touch(key: string, ttl: NonNullable<FreshnessOptions['ttl']>): Promise<boolean> {
    checkKey(key)
    if (this.#core.disabled) return false
    const ttlMs = toMs(ttl)
    const reading = await this.#store.read(key)
    if (reading.state !== 'found') return false
    const { createdAt, freshUntil, staleUntil } = reading.resident
    const end = Date.now() + ttlMs
    if (end <= createdAt) return false
    const stale = end + (staleUntil - freshUntil)
    // The versions it depends on have to live as long.
    const prolonged = await this.#store.prolong(reading.versions.known(), stale - Date.now())
    return prolonged && this.#store.touch(key, reading.resident, end, stale)
  }

  #near(key: string): Resident<Held> | undefined {
    checkKey(key)
    if (this.#core.disabled) return undefined
    const now = Date.now()
    const resident = this.#store.near(key, now)
    return resident !== undefined && resident.freshUntil > now ? resident : undefined
  }

  async #resident(key: string): Promise<Resident<Held> | undefined> {
    const near = this.#near(key)
    if (near !== undefined || this.#core.disabled) return near
    const reading = await this.#store.read(key)
    return reading.state === 'found' && isFresh(reading.resident) ? reading.resident : undefined
  }

  #remembered(key: string): Held | undefined {
    const { memory, options } = this.#core
    return options.redis.available ? undefined : memory?.get(this.#store.entryKey(key), Date.now())
  }
}

function isFresh({ freshUntil }: Resident<Held>): boolean {
  return freshUntil > Date.now()
}
