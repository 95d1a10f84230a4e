import type { Emitter } from '../shared/emitter.js'
import { isError } from '../shared/errors.js'
import type { EventCatalogue } from '../shared/events.js'
import type { RedisClient } from './client.js'
import { Cork } from './cork.js'
import { describe, replyKind } from './describe.js'
import { classify, type UnavailableReason } from './errors.js'
import type { RedisCall } from './events.js'
import type { Link } from './link.js'
import { overdue } from './overdue.js'

export interface GateOptions {
  readonly link: Link
  readonly client: RedisClient | undefined
  readonly deadline: number
  readonly maxInFlight: number
  readonly events: Emitter<EventCatalogue>
}

/** Why a call has no reply: the outage's reason, or what was thrown. */
export type Failed = (reason: UnavailableReason | 'error', error?: unknown) => void

/**
 * While a deadline has been missed and nothing was heard since, later calls wait this long, or three round trips. Also
 * the time for an answer after the event loop was blocked.
 */
const SUSPECT_MS = 15

/** Every command passes here: refused at once when Redis is known to be away, else bounded by a deadline. */
export class Gate {
  readonly #options: GateOptions
  readonly #cork = new Cork()
  #inFlight = 0
  #epoch = 0

  constructor(options: GateOptions) {
    this.#options = options
  }

  get inFlight(): number {
    return this.#epoch === this.#options.link.epoch ? this.#inFlight : 0
  }

  /** Why a call would be refused now, or `undefined`. Builds nothing: this is the whole cost of a known outage. */
  refusal(): UnavailableReason | undefined {
    const { link } = this.#options
    if (!link.usable) return link.state === 'up' ? 'down' : link.state
    if (this.#epoch !== link.epoch) {
      // What was in flight on a lost connection is never answered.
      this.#epoch = link.epoch
      this.#inFlight = 0
    }
    return this.#inFlight < this.#options.maxInFlight ? undefined : 'overloaded'
  }

  /** Call only where {@link refusal} is undefined. Exactly one of `done` and `failed` is called, once. */
  send<T>(
    operation: string,
    command: (client: RedisClient) => Promise<T>,
    deadline: number | undefined,
    done: (reply: T) => void,
    failed: Failed,
  ): void {
    const { link, events } = this.#options
    const client = this.#options.client as RedisClient
    const epoch = this.#epoch
    // A straggler of a lost connection says nothing about the one that followed it.
    const current = (): boolean => epoch === link.epoch
    const started = performance.now()
    let waiting = true
    this.#cork.hold(client, this.#inFlight++)

    const settle = (outcome: RedisCall['outcome'], thrown?: unknown): boolean => {
      if (!waiting) return false
      waiting = false
      clearTimeout(timer)
      if (events.listens('redis.call')) {
        const durationMs = performance.now() - started
        const call = { operation, outcome, durationMs }
        events.emit('redis.call', outcome === 'error' ? { ...call, error: kindOf(thrown) } : call)
      }
      return true
    }
    const late = (): void => {
      if (!settle('timeout')) return
      if (current()) link.missed(`no answer within ${Math.round(limit)} ms`)
      failed('timeout')
    }
    const limit = deadline ?? (link.suspect ? this.#suspectLimit() : this.#options.deadline)
    let timer: NodeJS.Timeout | undefined = setTimeout(() => {
      timer = overdue(started, limit, SUSPECT_MS, late)
    }, limit)

    start(command, client).then(
      (value) => {
        if (epoch === this.#epoch) this.#inFlight--
        if (!settle('ok')) return
        if (current()) link.answered()
        done(value)
      },
      (error: unknown) => {
        if (epoch === this.#epoch) this.#inFlight--
        if (!settle('error', error)) return
        const failure = classify(error)
        if (failure === 'outage') {
          if (current()) link.missed(describe(error))
          failed('lost', error)
        } else {
          if (failure === 'reply' && current()) link.answered()
          failed('error', error)
        }
      },
    )
  }

  #suspectLimit(): number {
    const { link, deadline } = this.#options
    return Math.min(Math.max(SUSPECT_MS, 3 * (link.latencyMs ?? 0)), deadline)
  }
}

/** A short word from a small set: it becomes a label of metrics. */
function kindOf(error: unknown): string {
  if (isError(error) && error.name === 'ReplyError') return replyKind(error.message)
  return classify(error) === 'outage' ? 'lost' : 'thrown'
}

/** A command that throws at once, or forgets to return its promise, is one that fails. */
function start<T>(command: (client: RedisClient) => Promise<T>, client: RedisClient): Promise<T> {
  try {
    return Promise.resolve(command(client))
  } catch (error) {
    return Promise.reject(error)
  }
}
