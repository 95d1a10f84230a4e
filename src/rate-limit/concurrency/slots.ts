/** Slots of callers in this process, for while Redis is away. Holds only callers with a request in progress. */
export class Slots {
  readonly #held = new Map<string, number>()

  get size(): number {
    return this.#held.size
  }

  acquire(key: string, limit: number): boolean {
    const held = this.#held.get(key) ?? 0
    if (held >= limit) return false
    this.#held.set(key, held + 1)
    return true
  }

  release(key: string): void {
    const held = this.#held.get(key) ?? 0
    if (held <= 1) this.#held.delete(key)
    else this.#held.set(key, held - 1)
  }
}
