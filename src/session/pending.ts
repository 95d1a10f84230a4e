import { type Json, merge } from './merge.js'
import { type Change, parseObject } from './record.js'

export interface PendingWrite extends Change {
  readonly id: string
  readonly session: string
  readonly expiresAt: number
}

export type DropReason = 'overflow' | 'expired'

const MOST = 1000
const MOST_BYTES = 8 * 1024 * 1024
const KEPT_MS = 5 * 60_000

/** Writes whose outcome an outage left unknown, one per session, for a guarded second try. Bounded; drops are told. */
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
    const write = { ...change, id, session, expiresAt: Date.now() + KEPT_MS }
    const earlier = this.#take(hash)
    this.#keep(hash, earlier === undefined ? write : joined(earlier, write))
  }

  /** For a write that was taken and could not be made. */
  putBack(hash: string, write: PendingWrite): void {
    const later = this.#take(hash)
    this.#keep(hash, later === undefined ? write : joined(write, later))
  }

  #keep(hash: string, write: PendingWrite): void {
    this.#writes.set(hash, write)
    this.#bytes += write.json.length + write.base.json.length
    while (this.#writes.size > MOST || this.#bytes > MOST_BYTES) {
      const [first] = this.#writes.keys()
      const oldest = this.#take(first as string)
      if (oldest === undefined) return
      this.#dropped(oldest.session, 'overflow')
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

/** What both changed, as one: requests that ran in parallel do not know of each other's changes. */
function joined(earlier: PendingWrite, later: PendingWrite): PendingWrite {
  const { data } = merge(objectOf(later.base.json), objectOf(later.json), objectOf(earlier.json))
  // The first base is what Redis last confirmed: all changes since are ours to make.
  return { ...later, base: earlier.base, json: JSON.stringify(data) }
}

function objectOf(json: string): Json {
  return parseObject(json) ?? {}
}
