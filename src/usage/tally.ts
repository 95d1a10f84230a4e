import { bucketOf } from './time.js'

/** Calls of one user and operation within one minute. */
export interface Tally {
  readonly minute: number
  readonly operation: string
  /** Undefined for calls of nobody known. */
  readonly user: string | undefined
  calls: number
  cost: number
  errors: number
  durationMs: number
  lastAt: number
}

export interface Call {
  readonly at: number
  readonly operation: string
  readonly user: string | undefined
  readonly cost: number
  readonly durationMs: number
  readonly failed: boolean
}

/** What was tracked since the last write, bounded in its combinations of minute, operation and user. */
export class Tallies {
  readonly #max: number
  readonly #tallies = new Map<string, Tally>()
  /** Calls that found no place. */
  dropped = 0

  constructor(max: number) {
    this.#max = max
  }

  get size(): number {
    return this.#tallies.size
  }

  add({ at, operation, user, cost, durationMs, failed }: Call): boolean {
    const minute = bucketOf('minute', at)
    // The user comes last and operations hold no control characters: no two combinations share a key.
    const key = `${minute}\0${operation}\0${user === undefined ? '' : `u${user}`}`
    let tally = this.#tallies.get(key)
    if (tally === undefined) {
      if (this.#tallies.size >= this.#max) {
        this.dropped++
        return false
      }
      tally = { minute, operation, user, calls: 0, cost: 0, errors: 0, durationMs: 0, lastAt: at }
      this.#tallies.set(key, tally)
    }
    tally.calls++
    tally.cost += cost
    tally.durationMs += durationMs
    tally.lastAt = Math.max(tally.lastAt, at)
    if (failed) tally.errors++
    return true
  }

  /** Removes and returns up to `most` tallies that belong to `shard`. */
  take(most: number, belongs: (tally: Tally) => boolean): Tally[] {
    const taken: Tally[] = []
    for (const [key, tally] of this.#tallies) {
      if (!belongs(tally)) continue
      this.#tallies.delete(key)
      if (taken.push(tally) === most) break
    }
    return taken
  }

  forget(user: string): void {
    for (const [key, tally] of this.#tallies) if (tally.user === user) this.#tallies.delete(key)
  }
}
