import type { Redis } from 'ioredis'
import type { Emitter } from '../shared/emitter.js'
import type { EventCatalogue } from '../shared/events.js'
import type { Logger } from '../shared/logger.js'
import { type Breaker, CLOSED, onAnswer, onConnect, onMiss, onProbe, onProbeResult } from './breaker.js'
import type { RedisClient } from './client.js'
import { describe } from './describe.js'
import type { RedisState } from './events.js'
import { NOT_MASTER, probe } from './probe.js'

export interface LinkOptions {
  readonly client: RedisClient | undefined
  /** The client is the caller's own: its connections are not ours to close. */
  readonly borrowed: boolean
  readonly deadline: number
  readonly connectTimeout: number
  readonly probeInterval: number
  readonly breakerThreshold: number
  readonly events: Emitter<EventCatalogue>
  readonly logger: Logger
}

/** A connection on which a PING stays unanswered this long is replaced: its server may be gone without a word. */
const SILENT_MS = 1000

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
  /** Round trip of the last probe. */
  latencyMs: number | undefined
  lastError: { readonly message: string; readonly at: number } | undefined

  readonly #options: LinkOptions
  #breaker: Breaker = CLOSED
  #enteredAt: number = performance.now()
  #connected = false
  #wasUp = false
  #probing = false
  /** A write was refused by what has become a replica: a PING proves nothing until the role has changed. */
  #askRole = false
  #timer: NodeJS.Timeout | undefined
  /** The error of this connection, which its close event does not carry. */
  #lostBy: string | undefined
  readonly #listeners: Readonly<Record<'ready' | 'close' | 'end' | 'error' | 'node error', (error: Error) => void>>

  constructor(options: LinkOptions) {
    this.#options = options
    const { client } = options
    this.#listeners = {
      ready: () => this.#onReady(),
      close: () => this.#onClose(),
      end: () => this.#onClose(),
      error: (error: Error) => this.#onError(error),
      'node error': (error: Error) => this.#note(describe(error)),
    }
    if (client === undefined) {
      this.#enter('down', 'no Redis is configured')
      return
    }
    for (const [event, listener] of Object.entries(this.#listeners)) client.on(event as 'error', listener)
    if (client.status === 'ready') {
      this.#onReady()
      return
    }
    // Some ways of finding nothing, such as a borrowed client that has ended, come without any event.
    this.#timer = setTimeout(() => {
      if (this.state === 'connecting') this.#enter('down', `no connection within ${options.connectTimeout} ms`)
    }, options.connectTimeout)
    this.#timer.unref()
  }

  /** A deadline was missed since the last answer in time. */
  get suspect(): boolean {
    return this.#breaker.state === 'closed' && this.#breaker.misses > 0
  }

  answered(): void {
    this.#breaker = onAnswer(this.#breaker)
  }

  /** Another connection to the same server had no answer: ask over this one. */
  doubt(): void {
    if (this.usable) void this.#probe()
  }

  missed(reason: string): void {
    if (!this.usable) return
    this.#askRole ||= reason === NOT_MASTER
    this.#breaker = this.#askRole ? onConnect() : onMiss(this.#breaker, this.#options.breakerThreshold)
    // With few requests about, waiting for their misses would keep a hung server in use for long.
    if (this.#breaker.state !== 'open') return void this.#probe()
    this.#enter('degraded', reason)
    this.#probeLater()
  }

  /** Nothing is sent from here on; what is in flight may still be answered. */
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
    clearTimeout(this.#timer)
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
    this.#lostBy = undefined
  }

  #onError(error: Error): void {
    // The errors that follow the first one of a connection are its consequences.
    if (this.#lostBy !== undefined) return
    this.#lostBy = describe(error)
    this.#note(this.#lostBy)
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
    const { client, borrowed, deadline } = this.#options
    if (client === undefined || !this.#connected || this.#probing) return
    this.#probing = true
    this.#breaker = onProbe(this.#breaker)
    const { epoch } = this
    const started = performance.now()
    let answered = false
    let overdue = false
    const silent = new Set<Redis>()
    const late = (): void => {
      if (answered || epoch !== this.epoch) return
      overdue = true
      this.#failed(`no answer within ${deadline} ms`)
      if (borrowed || performance.now() - started < SILENT_MS) return
      if (silent.has(client as Redis)) this.#lostBy = `no answer within ${SILENT_MS} ms`
      for (const node of silent) node.disconnect(true)
    }
    // As in the gate: after a blocked event loop the PONG may be waiting in the socket.
    const watch = setInterval(() => setImmediate(late), deadline)
    watch.unref()
    const failure = await probe(client, this.#askRole, silent)
    answered = true
    clearInterval(watch)
    if (epoch !== this.epoch) return
    this.#probing = false
    this.latencyMs = performance.now() - started
    if (failure === undefined && !overdue) {
      this.#askRole = false
      this.#breaker = onAnswer(onProbeResult(this.#breaker, true))
      return this.#enter('up', 'a probe was answered')
    }
    if (failure === NOT_MASTER) return this.#lookElsewhere()
    if (failure !== undefined) this.#failed(failure)
    this.#probeLater()
  }

  /** After a failover the same name may lead to another server; until it does the state stays what it is. */
  #lookElsewhere(): void {
    this.#note(NOT_MASTER)
    const { client, borrowed, probeInterval } = this.#options
    if (borrowed) return this.#probeLater()
    this.#timer = setTimeout(() => client?.disconnect(true), probeInterval)
    this.#timer.unref()
  }

  /** A probe was not answered in time: one more miss while commands are sent, else nothing has changed for the better. */
  #failed(reason: string): void {
    if (this.usable) return this.missed(reason)
    this.#breaker = onProbeResult(this.#breaker, false)
    this.#enter('degraded', reason)
  }

  #note(message: string): void {
    this.lastError = { message, at: Date.now() }
  }

  #enter(state: RedisState, reason: string): void {
    this.usable = state === 'up'
    if (state === this.state) return
    const { events, logger } = this.#options
    const now = performance.now()
    const transition = { from: this.state, reason, afterMs: now - this.#enteredAt }
    this.state = state
    this.since = Date.now()
    this.#enteredAt = now
    if (state === 'up') {
      logger.info(`holdfast: Redis is up (${reason})`)
      events.emit(this.#wasUp ? 'recovered' : 'up', transition)
      this.#wasUp = true
    } else if (state === 'down' || state === 'degraded') {
      this.#note(reason)
      logger.warn(`holdfast: Redis is ${state} (${reason}); Holdfast passes through until it returns`)
      events.emit(state, transition)
    }
  }
}
