/** What was ended while Redis could not be told. */
export interface Tombstone {
  readonly name: string
  readonly expiresAt: number
  /** Tells Redis; false where it did not take it. */
  readonly apply: () => Promise<boolean>
}

const MOST = 10_000

/**
 * Ends of sessions and revocations that Redis has yet to hear of. They are true here from the start, are told before
 * anything else when Redis returns, and are never dropped.
 */
export class Tombstones {
  readonly #waiting = new Map<string, Tombstone>()

  get size(): number {
    return this.#waiting.size
  }

  has(name: string): boolean {
    if (this.#waiting.size === 0) return false
    const tombstone = this.#waiting.get(name)
    return tombstone !== undefined && tombstone.expiresAt > Date.now()
  }

  /** False where there is no room, and the caller has to say that it failed. */
  add(tombstone: Tombstone): boolean {
    if (this.#waiting.size >= MOST && !this.#waiting.has(tombstone.name)) {
      this.#forgetExpired()
      if (this.#waiting.size >= MOST) return false
    }
    this.#waiting.set(tombstone.name, tombstone)
    return true
  }

  /** False where Redis did not take all: the rest waits for its next return. */
  async replay(): Promise<boolean> {
    this.#forgetExpired()
    for (const [name, tombstone] of this.#waiting) {
      if (!(await tombstone.apply())) return false
      if (this.#waiting.get(name) === tombstone) this.#waiting.delete(name)
    }
    return true
  }

  #forgetExpired(): void {
    const now = Date.now()
    for (const [name, { expiresAt }] of this.#waiting) if (expiresAt <= now) this.#waiting.delete(name)
  }
}
