import type { RedisManager } from '../redis/index.js'

/** Does its work and says whether it succeeded; may run again after an unknown outcome. */
export type Invalidation = () => Promise<boolean>

const RETRY_MS = 200
const MAX_PENDING = 1000

/**
 * Invalidations that could not be done. They are tried again until they succeed, first thing when Redis returns; until
 * then this process takes nothing from the cache, since what lies there may be what should be gone.
 */
export class PendingInvalidations {
  readonly #redis: RedisManager
  readonly #everything: Invalidation
  readonly #waiting = new Map<string, Invalidation>()
  #timer: NodeJS.Timeout | undefined
  #running = false
  #subscribed = false

  /** `everything` invalidates the whole namespace: it stands in for more than a thousand that wait. */
  constructor(redis: RedisManager, everything: Invalidation) {
    this.#redis = redis
    this.#everything = everything
  }

  get any(): boolean {
    return this.#waiting.size > 0
  }

  add(name: string, invalidation: Invalidation): void {
    if (this.#waiting.size >= MAX_PENDING && !this.#waiting.has(name)) {
      this.#waiting.clear()
      name = 'everything'
      invalidation = this.#everything
    }
    this.#waiting.set(name, invalidation)
    if (!this.#subscribed) {
      this.#subscribed = true
      for (const event of ['up', 'recovered'] as const) this.#redis.on(event, () => void this.#run())
    }
    this.#later()
  }

  async #run(): Promise<void> {
    if (this.#running || !this.#redis.available) return
    this.#running = true
    for (const [name, invalidation] of [...this.#waiting]) {
      const done = await invalidation()
      if (!done) break
      if (this.#waiting.get(name) === invalidation) this.#waiting.delete(name)
    }
    this.#running = false
    if (this.any) this.#later()
  }

  #later(): void {
    clearTimeout(this.#timer)
    // While Redis is away its return starts the run; the timer is for a single deadline that was missed.
    if (!this.#redis.available) return
    this.#timer = setTimeout(() => void this.#run(), RETRY_MS)
    this.#timer.unref()
  }
}
