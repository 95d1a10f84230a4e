import { Cursor, type CursorHost } from './cursor.js'
import type { Feed } from './feed.js'
import { frame, HEARTBEAT, notificationBody, retryFrame } from './frame.js'
import type { Entry } from './plan.js'
import { encodePosition } from './position.js'

/** A response of `node:http` or `node:http2`. */
export interface EventSink {
  readonly writableLength: number
  write(text: string): boolean
  end(): unknown
  destroy(): unknown
  on(event: 'drain' | 'close' | 'error', listener: () => void): unknown
}

export interface ConnectionOptions {
  readonly sink: EventSink
  readonly user: Feed
  readonly topics: readonly Feed[]
  /** Where the client says it is, by feed; a feed that is missing is new to it. */
  readonly positions: ReadonlyMap<Feed, string>
  readonly recent: number
  readonly limits: ConnectionLimits
  readonly available: () => boolean
  readonly onClose: (connection: Connection, reason: CloseReason) => void
  readonly onGap: () => void
}

/** In bytes and ms. */
export interface ConnectionLimits {
  readonly maxBuffered: number
  readonly stallTimeout: number
  readonly heartbeat: number
  readonly retry: number
}

/** `stalled`: the client did not read for too long. */
export type CloseReason = 'client' | 'stalled' | 'server'

/** What the client is told it can rely on. */
type Status = 'live' | 'degraded'

/** One open event stream. */
export class Connection implements CursorHost {
  readonly cursors: readonly Cursor[]
  open = true
  /** Its client has left so much unread that nothing more is sent until it reads. */
  lagging = false
  readonly #options: ConnectionOptions
  #status: Status | undefined
  /** Since when the client has more to read than fits, by `performance.now()`. */
  #fullSince: number | undefined
  #wroteAt = performance.now()

  constructor(options: ConnectionOptions) {
    this.#options = options
    const { sink, user, topics, positions, recent, limits } = options
    this.cursors = [user, ...topics].map((feed) => new Cursor(feed, positions.get(feed), recent, this))
    sink.on('error', () => {})
    sink.on('close', () => this.#closed('client'))
    sink.on('drain', () => this.#drained())
    this.#write(retryFrame(limits.retry))
    for (const cursor of this.cursors) cursor.feed.cursors.add(cursor)
  }

  get user(): Feed {
    return this.#options.user
  }

  get writable(): boolean {
    return this.open && !this.lagging
  }

  start(): void {
    if (this.#options.available()) this.catchUp()
    else this.#tell('degraded')
  }

  catchUp(): void {
    if (!this.writable) return
    for (const cursor of this.cursors) void cursor.catchUp()
  }

  /** After an outage what is known may be old, whatever was received since. */
  resume(): void {
    for (const cursor of this.cursors) cursor.fallBehind()
  }

  sendEntry(cursor: Cursor, entry: Entry): boolean {
    const topic = cursor.feed.audience.kind === 'topic' ? cursor.feed.audience.name : undefined
    return this.#send(`id: ${this.#position()}\n${notificationBody(entry, topic)}`)
  }

  sendGap(cursor: Cursor): boolean {
    const { kind, name } = cursor.feed.audience
    const sent = this.#send(frame('gap', JSON.stringify(kind === 'topic' ? { topic: name } : {}), this.#position()))
    if (sent) this.#options.onGap()
    return sent
  }

  /** Outside the stream: it has no place in the order and is not sent again. */
  sendAside(event: string, data: string): boolean {
    return this.#send(frame(event, data))
  }

  sendUnread(): void {
    if (this.#status === 'live') this.sendAside('unread', JSON.stringify({ unread: this.user.unread }))
  }

  changed(): void {
    if (!this.writable) return
    const available = this.#options.available()
    if (available && this.cursors.every(({ live }) => live)) this.#tell('live')
    else if (!available || !this.cursors.some(({ reading }) => reading)) this.#tell('degraded')
  }

  /** Once a second or so. */
  tick(now: number): void {
    const { stallTimeout, heartbeat } = this.#options.limits
    if (this.#fullSince !== undefined) {
      if (now - this.#fullSince >= stallTimeout) this.close('stalled')
    } else if (now - this.#wroteAt >= heartbeat) {
      this.#write(HEARTBEAT)
    }
    if (this.#options.available()) this.catchUp()
  }

  close(reason: CloseReason): void {
    if (!this.open) return
    const { sink } = this.#options
    // A client that does not read never lets the response end.
    if (this.#fullSince !== undefined) sink.destroy()
    else sink.end()
    this.#closed(reason)
  }

  #tell(status: Status): void {
    if (status === this.#status) return
    const { unread } = this.#options.user
    const data = status === 'live' ? { state: status, unread } : { state: status }
    const id = this.cursors.every(({ position }) => position !== undefined) ? this.#position() : undefined
    if (!this.#send(frame('status', JSON.stringify(data), id))) return
    this.#status = status
  }

  #position(): string {
    const topics: [digest: string, position: string][] = []
    for (let at = 1; at < this.cursors.length; at++) {
      const { feed, position } = this.cursors[at] as Cursor
      if (position !== undefined) topics.push([feed.digest, position])
    }
    return encodePosition({ user: this.cursors[0]?.position, topics })
  }

  #send(text: string): boolean {
    if (!this.writable) return false
    const { sink, limits } = this.#options
    if (this.#fullSince !== undefined && sink.writableLength + Buffer.byteLength(text) > limits.maxBuffered) {
      this.lagging = true
      for (const cursor of this.cursors) cursor.live = false
      return false
    }
    this.#write(text)
    return true
  }

  #write(text: string): void {
    this.#wroteAt = performance.now()
    if (this.#options.sink.write(text) === false) this.#fullSince ??= this.#wroteAt
  }

  #drained(): void {
    this.#fullSince = undefined
    this.lagging = false
    this.catchUp()
  }

  #closed(reason: CloseReason): void {
    if (!this.open) return
    this.open = false
    for (const cursor of this.cursors) cursor.feed.cursors.delete(cursor)
    this.#options.onClose(this, reason)
  }
}
