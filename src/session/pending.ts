import type { Change } from './record.js'

export interface PendingWrite extends Change {
  readonly id: string
  readonly session: string
  readonly expiresAt: number
}

export type DropReason = 'overflow' | 'expired'

const MOST = 1000
const MOST_BYTES = 8 * 1024 * 1024
const KEPT_MS = 5 * 60_000

/** Writes whose outcome an outage left unknown, newest per session, for a guarded second try. Bounded; drops are told. */
export class PendingWrites {
  readonly #writes = new Map<string, PendingWrite>()
  readonly #dropped: (session: string, reason: DropReason) => void
  #bytes = 0

  constructor(dropped: (session: string, reason: DropReason) => void) {
    this.#dropped = dropped
  }

  get size(): number {
    return this.#writes.size
  }

  add(hash: string, id: string, session: string, change: Change): void {
    const earlier = this.#take(hash)
    // The first base is what Redis last confirmed: all changes since are ours to make.
    const base = earlier?.base ?? change.base
    this.#writes.set(hash, { ...change, base, id, session, expiresAt: Date.now() + KEPT_MS })
    this.#bytes += change.json.length + base.json.length
    while (this.#writes.size > MOST || this.#bytes > MOST_BYTES) {
      const [oldest] = this.#writes.keys()
      const write = this.#take(oldest as string)
      if (write === undefined) return
      this.#dropped(write.session, 'overflow')
    }
  }

  /** Removes and gives the write of a session, unless it waited too long. */
  take(hash: string): PendingWrite | undefined {
    if (this.#writes.size === 0) return undefined
    const write = this.#take(hash)
    if (write === undefined || write.expiresAt > Date.now()) return write
    this.#dropped(write.session, 'expired')
    return undefined
  }

  forget(hash: string): void {
    this.#take(hash)
  }

  hashes(): string[] {
    return [...this.#writes.keys()]
  }

  #take(hash: string): PendingWrite | undefined {
    const write = this.#writes.get(hash)
    if (write === undefined) return undefined
    this.#writes.delete(hash)
    this.#bytes -= write.json.length + write.base.json.length
    return write
  }
}
