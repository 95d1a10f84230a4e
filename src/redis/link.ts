import type { Emitter } from '../shared/emitter.js'
import type { EventCatalogue } from '../shared/events.js'
import type { Logger } from '../shared/logger.js'
import { type Breaker, CLOSED, onAnswer, onConnect, onMiss, onProbe, onProbeResult } from './breaker.js'
import { masters, type RedisClient } from './client.js'
import type { RedisState } from './events.js'

export interface LinkOptions {
  readonly client: RedisClient | undefined
  readonly deadline: number
  readonly probeInterval: number
  readonly breakerThreshold: number
  readonly events: Emitter<EventCatalogue>
  readonly logger: Logger
}

/**
 * What is known about the connection: the client's own status joined with the breaker into one state. Every way into
 * `up` goes through an answered PING, so that a slow or half-open connection never costs a request its deadline twice.
 */
export class Link {
  /** The one boolean the hot path reads. */
  usable = false
  state: RedisState = 'connecting'
  /** Grows when a connection is lost: what was in flight before will not be answered. */
  epoch = 0
  since: number = Date.now()
  latencyMs: number | undefined
  lastError: { readonly message: string; readonly at: number } | undefined

  readonly #options: LinkOptions
  #breaker: Breaker = CLOSED
  #connected = false
  #wasUp = false
  #probing = false
  #timer: NodeJS.Timeout | undefined
  /** The error of this connection, which its close event does not carry. */
  #lostBy: string | undefined
  readonly #listeners: Readonly<Record<'ready' | 'close' | 'end' | 'error', (error: Error) => void>>

  constructor(options: LinkOptions) {
    this.#options = options
    const { client } = options
    this.#listeners = {
      ready: () => this.#onReady(),
      close: () => this.#onClose(),
      end: () => this.#onClose(),
      error: (error: Error) => this.#onError(error),
    }
    if (client === undefined) {
      this.#enter('down', 'no Redis is configured')
      return
    }
    for (const [event, listener] of Object.entries(this.#listeners)) client.on(event as 'error', listener)
    if (client.status === 'ready') this.#onReady()
  }

  /** A deadline was missed since the last answer in time. */
  get suspect(): boolean {
    return this.#breaker.state === 'closed' && this.#breaker.misses > 0
  }

  answered(): void {
    this.#breaker = onAnswer(this.#breaker)
  }

  missed(reason: string): void {
    if (!this.usable) return
    this.#breaker = onMiss(this.#breaker, this.#options.breakerThreshold)
    // With few requests about, waiting for their misses would keep a hung server in use for long.
    if (this.#breaker.state !== 'open') return void this.#probe()
    this.#enter('degraded', reason)
    this.#probeLater()
  }

  close(): void {
    clearTimeout(this.#timer)
    for (const [event, listener] of Object.entries(this.#listeners)) {
      this.#options.client?.off(event, listener)
    }
    this.#connected = false
    this.epoch++
    this.#enter('closed', 'close() was called')
  }

  #onReady(): void {
    this.#connected = true
    this.#lostBy = undefined
    this.#breaker = onConnect()
    void this.#probe()
  }

  #onClose(): void {
    if (this.state === 'closed') return
    this.#connected = false
    this.#probing = false
    this.epoch++
    clearTimeout(this.#timer)
    this.#enter('down', this.#lostBy ?? 'the connection was closed')
  }

  #onError(error: Error): void {
    this.#note(error)
    this.#lostBy = messageOf(error)
    if (this.state === 'connecting') this.#enter('down', this.#lostBy)
  }

  #probeLater(): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.#probe(), this.#options.probeInterval)
    this.#timer.unref()
  }

  /**
   * Confirms a suspicion or tests a return. One PING at a time, so that a hung socket is not filled with probes: each
   * further deadline that it stays unanswered counts as one more miss.
   */
  async #probe(): Promise<void> {
    const { client, deadline } = this.#options
    if (client === undefined || !this.#connected || this.#probing) return
    this.#probing = true
    this.#breaker = onProbe(this.#breaker)
    const { epoch } = this
    const started = performance.now()
    let settled = false
    let overdue = false
    // As in the gate: after a blocked event loop the PONG may be waiting in the socket.
    const watch = setInterval(() => setImmediate(late), deadline)
    const late = (): void => {
      if (settled || epoch !== this.epoch) return clearInterval(watch)
      overdue = true
      if (this.#breaker.state === 'closed') return this.missed(`no answer within ${deadline} ms`)
      this.#breaker = onProbeResult(this.#breaker, false)
      this.#enter('degraded', `no answer within ${deadline} ms`)
    }
    let answered = false
    try {
      const nodes = masters(client)
      await Promise.all(nodes.map((node) => node.ping()))
      answered = nodes.length > 0
    } catch (error) {
      this.#note(error)
    }
    settled = true
    clearInterval(watch)
    if (epoch !== this.epoch) return
    this.#probing = false
    this.latencyMs = performance.now() - started
    const inTime = answered && !overdue
    this.#breaker = inTime ? onAnswer(onProbeResult(this.#breaker, true)) : onProbeResult(this.#breaker, false)
    if (inTime) return this.#enter('up', 'a probe was answered')
    if (this.#breaker.state !== 'closed') {
      this.#enter('degraded', answered ? `answers take ${Math.round(this.latencyMs)} ms` : 'a probe failed')
    }
    this.#probeLater()
  }

  #note(error: unknown): void {
    if (error instanceof Error) this.lastError = { message: messageOf(error), at: Date.now() }
  }

  #enter(state: RedisState, reason: string): void {
    this.usable = state === 'up'
    if (state === this.state) return
    const { events, logger } = this.#options
    const now = Date.now()
    const transition = { from: this.state, reason, afterMs: now - this.since }
    this.state = state
    this.since = now
    if (state === 'up') {
      logger.info(`holdfast: Redis is up (${reason})`)
      events.emit(this.#wasUp ? 'recovered' : 'up', transition)
      this.#wasUp = true
    } else if (state === 'down' || state === 'degraded') {
      logger.warn(`holdfast: Redis is ${state} (${reason}); Holdfast passes through until it returns`)
      events.emit(state, transition)
    }
  }
}

/** ioredis wraps the refusals of several addresses in an AggregateError without a message. */
function messageOf(error: Error): string {
  return error.message || (error as NodeJS.ErrnoException).code || error.name
}
