import { START } from './event-id.js'
import type { Feed } from './feed.js'
import { type Entry, follow, plan } from './plan.js'

/** What a cursor needs of its connection. Both answer false where the client is not reading: nothing was sent. */
export interface CursorHost {
  readonly writable: boolean
  sendEntry(cursor: Cursor, entry: Entry): boolean
  sendGap(cursor: Cursor): boolean
  /** A cursor has caught up, or could not. */
  changed(): void
}

/**
 * How far one client is in one stream. It is either live, and given each entry as it is published, or behind, and
 * reading the stream from its position. Nothing is queued: whatever a client could not be given, it reads later.
 */
export class Cursor {
  readonly feed: Feed
  /** `undefined` until a new client has been given the most recent entries. */
  position: string | undefined
  live = false
  reading = false
  readonly #host: CursorHost
  readonly #recent: number
  /** Something was published during a read, which may not have seen it. */
  #stale = false

  constructor(feed: Feed, position: string | undefined, recent: number, host: CursorHost) {
    this.feed = feed
    this.position = position
    this.#recent = recent
    this.#host = host
  }

  published(entry: Entry): void {
    this.#stale = true
    if (!this.live || this.position === undefined) return
    const action = follow(this.position, entry)
    if (action === 'skip' || (action === 'send' && this.#send(entry))) return
    this.fallBehind()
  }

  /** Something may have been missed. */
  fallBehind(): void {
    this.live = false
    this.#stale = true
    void this.catchUp()
  }

  async catchUp(): Promise<void> {
    if (this.reading || this.live || !this.#host.writable) return
    this.reading = true
    try {
      while (await this.#readOn()) {}
    } finally {
      this.reading = false
    }
    this.#host.changed()
  }

  /** Reads one page. True while there is more. */
  async #readOn(): Promise<boolean> {
    const subscribed = await this.feed.subscribed()
    this.#stale = false
    const page = await this.feed.read(this.position, this.#recent, subscribed)
    if (page === undefined || !this.#host.writable) return false
    const next = plan(this.position, page)
    if (next.gap !== undefined && !this.#tellGap(next.gap)) return false
    for (const entry of next.entries) if (!this.#send(entry)) return false
    this.position = next.position
    if (next.more || this.#stale) return true
    // Without a confirmed subscription it stays behind, and reads again with the next tick.
    this.live = subscribed
    return false
  }

  #tellGap(position: string): boolean {
    const before = this.position
    this.position = position
    if (this.#host.sendGap(this)) return true
    this.position = before
    return false
  }

  #send(entry: Entry): boolean {
    const before = this.position
    this.position = entry.id
    if (entry.json === undefined || this.#host.sendEntry(this, entry)) return true
    this.position = before ?? (entry.prev || START)
    return false
  }
}
