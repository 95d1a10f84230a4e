import type { SecurityLevel } from './vocabulary.js'

/** An event waiting to be written: its JSON and what the writer needs beside it. */
export interface Entry {
  readonly id: string
  readonly level: SecurityLevel
  /** Event time in ms. */
  readonly at: number
  readonly json: string
  readonly audit: boolean
  /** Key of the user's own stream, where the event has a user. */
  readonly user: string | undefined
}

export interface RingBounds {
  readonly maxEvents: number
  readonly maxBytes: number
}

export type LevelCounts = Readonly<Record<SecurityLevel, number>>

interface Slot {
  readonly entry: Entry
  readonly order: number
  readonly bytes: number
}

/** This share of both bounds is kept for critical events. */
const CRITICAL_SHARE = 0.2
const ENTRY_OVERHEAD = 200
const LEVELS: readonly SecurityLevel[] = ['info', 'warn', 'critical']

/**
 * Events in order of arrival, bounded by count and bytes. On overflow the oldest event of the lowest level goes first:
 * info, then warn, then critical; info and warn together never take the last fifth. An event that was taken for
 * writing stays until it is settled, still counts, and is not dropped.
 */
export class Ring {
  readonly #bounds: RingBounds
  readonly #lanes: Record<SecurityLevel, Lane> = { info: new Lane(), warn: new Lane(), critical: new Lane() }
  #taken: Slot[] = []
  #order = 0
  #count = 0
  #bytes = 0
  #ordinary = { count: 0, bytes: 0 }
  #dropped: Record<SecurityLevel, number> = { info: 0, warn: 0, critical: 0 }

  constructor(bounds: RingBounds) {
    this.#bounds = bounds
  }

  get size(): number {
    return this.#count
  }

  get bytes(): number {
    return this.#bytes
  }

  get taken(): readonly Entry[] {
    return this.#taken.map(({ entry }) => entry)
  }

  /** Events dropped since the last {@link takeDropped}. */
  get dropped(): LevelCounts {
    return this.#dropped
  }

  takeDropped(): LevelCounts {
    const dropped = this.#dropped
    this.#dropped = { info: 0, warn: 0, critical: 0 }
    return dropped
  }

  /** False where the event itself was dropped, for want of anything less important. */
  push(entry: Entry): boolean {
    const slot = { entry, order: this.#order++, bytes: Buffer.byteLength(entry.json) + ENTRY_OVERHEAD }
    const hopeless = slot.bytes > this.#bounds.maxBytes
    while (hopeless || !this.#fits(slot)) {
      if (!hopeless && this.#dropOldest(entry.level)) continue
      this.#dropped[entry.level]++
      return false
    }
    this.#lanes[entry.level].push(slot)
    this.#add(slot, 1)
    return true
  }

  /** The next events in order of arrival, at most `max`. Until {@link settle}, the same ones come first again. */
  take(max: number): readonly Entry[] {
    while (this.#taken.length < max) {
      const slot = this.#shiftOldest()
      if (slot === undefined) break
      this.#taken.push(slot)
    }
    return this.#taken.slice(0, max).map(({ entry }) => entry)
  }

  /** The first of the taken events, or all, are written: they are forgotten. */
  settle(count: number = this.#taken.length): void {
    for (const slot of this.#taken.splice(0, count)) this.#add(slot, -1)
  }

  /** Removes waiting events that match, except those being written; returns how many. */
  remove(matches: (entry: Entry) => boolean): number {
    let removed = 0
    for (const level of LEVELS) {
      for (const slot of this.#lanes[level].removeIf(({ entry }) => matches(entry))) {
        this.#add(slot, -1)
        removed++
      }
    }
    return removed
  }

  /** Everything not written yet, in order, the taken ones first. */
  *[Symbol.iterator](): Generator<Entry, void, undefined> {
    const waiting = LEVELS.flatMap((level) => this.#lanes[level].toArray()).sort((a, b) => a.order - b.order)
    for (const { entry } of [...this.#taken, ...waiting]) yield entry
  }

  #fits(slot: Slot): boolean {
    const { maxEvents, maxBytes } = this.#bounds
    if (this.#count >= maxEvents || this.#bytes + slot.bytes > maxBytes) return false
    if (slot.entry.level === 'critical') return true
    const share = 1 - CRITICAL_SHARE
    return this.#ordinary.count < maxEvents * share && this.#ordinary.bytes + slot.bytes <= maxBytes * share
  }

  #dropOldest(incoming: SecurityLevel): boolean {
    for (const level of LEVELS) {
      const slot = this.#lanes[level].shift()
      if (slot !== undefined) {
        this.#add(slot, -1)
        this.#dropped[level]++
        return true
      }
      if (level === incoming) return false
    }
    return false
  }

  #shiftOldest(): Slot | undefined {
    let oldest: Lane | undefined
    for (const level of LEVELS) {
      const lane = this.#lanes[level]
      if (lane.first !== undefined && (oldest?.first === undefined || lane.first.order < oldest.first.order)) {
        oldest = lane
      }
    }
    return oldest?.shift()
  }

  #add(slot: Slot, sign: 1 | -1): void {
    this.#count += sign
    this.#bytes += sign * slot.bytes
    if (slot.entry.level === 'critical') return
    this.#ordinary.count += sign
    this.#ordinary.bytes += sign * slot.bytes
  }
}

/** A queue whose `shift` does not move the rest. */
class Lane {
  #slots: (Slot | undefined)[] = []
  #head = 0

  get first(): Slot | undefined {
    return this.#slots[this.#head]
  }

  push(slot: Slot): void {
    this.#slots.push(slot)
  }

  shift(): Slot | undefined {
    const slot = this.#slots[this.#head]
    if (slot === undefined) return undefined
    this.#slots[this.#head++] = undefined
    if (this.#head > 1024 && this.#head * 2 > this.#slots.length) {
      this.#slots = this.#slots.slice(this.#head)
      this.#head = 0
    }
    return slot
  }

  toArray(): Slot[] {
    return this.#slots.slice(this.#head) as Slot[]
  }

  removeIf(matches: (slot: Slot) => boolean): Slot[] {
    const removed: Slot[] = []
    const kept: Slot[] = []
    for (const slot of this.toArray()) (matches(slot) ? removed : kept).push(slot)
    this.#slots = kept
    this.#head = 0
    return removed
  }
}
