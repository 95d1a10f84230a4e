import type { Held } from './values.js'

interface Kept {
  readonly held: Held
  readonly bytes: number
  readonly until: number
}

/** Values of this process alone, for the time Redis is away. Bounded in bytes; the oldest goes first. */
export class MemoryFallback {
  readonly #maxBytes: number
  readonly #kept = new Map<string, Kept>()
  #bytes = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  get(key: string, now: number): Held | undefined {
    const kept = this.#kept.get(key)
    if (kept === undefined) return undefined
    if (kept.until > now) return kept.held
    this.delete(key)
    return undefined
  }

  set(key: string, held: Held, bytes: number, until: number): void {
    this.delete(key)
    const size = bytes + 4 * key.length + 300
    if (size > this.#maxBytes) return
    this.#kept.set(key, { held, bytes: size, until })
    this.#bytes += size
    for (const oldest of this.#kept.keys()) {
      if (this.#bytes <= this.#maxBytes) break
      this.delete(oldest)
    }
  }

  delete(key: string): void {
    this.#bytes -= this.#kept.get(key)?.bytes ?? 0
    this.#kept.delete(key)
  }

  clear(): void {
    this.#kept.clear()
    this.#bytes = 0
  }
}
