import type { Redis } from 'ioredis'
import { callSafely } from '../shared/emitter.js'
import { isError } from '../shared/errors.js'
import { commandsFor, type SubscriptionKind, send, stillHeld, type Topic } from './subscription-topic.js'

export type MessageHandler = (message: string, channel: string) => void

export interface LineSubscriptionOptions {
  /** Messages may have been missed. */
  readonly onGap?: (() => void) | undefined
  readonly onConfirmed?: (() => void) | undefined
  /** The server does not take it; tried again after the next reconnect, or on {@link Line.retry}. */
  readonly onRefused?: ((error: Error) => void) | undefined
}

export interface LineSubscription {
  readonly confirmed: boolean
  ready(timeoutMs: number): Promise<boolean>
  close(): void
}

/** One connection for many subscriptions, opened at the first and closed after the last. */
export interface Line {
  /** Nothing is wanted. */
  readonly idle: boolean
  subscribe(
    kind: SubscriptionKind,
    name: string,
    handler: MessageHandler,
    options?: LineSubscriptionOptions,
  ): LineSubscription
  /** Tries again what the server has refused. */
  retry(): void
  close(): void
}

export interface LineOptions {
  /** A fresh connection that does not reconnect by itself; `undefined` while there is none. */
  readonly open: () => Redis | undefined
  /** What a handler threw. */
  readonly onError: (error: unknown) => void
  /** Something that was confirmed no longer is. */
  readonly onLost?: () => void
}

interface Own extends LineSubscriptionOptions {
  readonly handle: MessageHandler
  readonly waiting: Set<() => void>
  owed: boolean
}

/** Refusals that say nothing about the channel: somewhere else, or in a moment, it is served. */
export const PASSING: RegExp = /^(MOVED|ASK|CLUSTERDOWN|TRYAGAIN|LOADING|MASTERDOWN)\b/

const PING_EVERY = 1000
const REOPEN_AFTER = 200
/**
 * What is wanted and what the server has confirmed are two sets, brought together step by step, so that fast
 * subscribe/unsubscribe sequences end where they should.
 */
export function createLine({ open, onError, onLost = () => {} }: LineOptions): Line {
  const wanted = new Map<Topic, Set<Own>>()
  const confirmed = new Set<Topic>()
  const refused = new Set<Topic>()
  let connection: Redis | undefined
  let closed = false
  let stepping = false
  let pinging = false
  let reopen: NodeJS.Timeout | undefined
  let ping: NodeJS.Timeout | undefined

  function dispatch(topic: Topic, channel: string, message: string): void {
    for (const { handle } of wanted.get(topic) ?? []) callSafely(() => handle(message, channel), onError)
  }

  function connect(): void {
    if (closed || connection !== undefined || wanted.size === 0) return
    const fresh = open()
    if (fresh === undefined) return reconnect()
    connection = fresh
    fresh.on('message', (channel: string, message: string) => dispatch(`channel ${channel}`, channel, message))
    fresh.on('smessage', (channel: string, message: string) => dispatch(`shard ${channel}`, channel, message))
    fresh.on('pmessage', (pattern: string, channel: string, message: string) =>
      dispatch(`pattern ${pattern}`, channel, message),
    )
    // The server ends subscriptions to shard channels by itself when their slot moves away.
    fresh.on('moved', () => {
      if (connection !== fresh) return
      lose([...confirmed].filter((topic) => !stillHeld(fresh, topic)))
      void step()
    })
    fresh.on('ready', () => {
      if (connection !== fresh) return
      ping = setInterval(() => watch(fresh), PING_EVERY)
      ping.unref()
      void step()
    })
    fresh.on('end', () => {
      if (connection !== fresh) return
      const lost = [...confirmed]
      forget()
      lose(lost)
      reconnect()
    })
  }

  /** An idle subscriber hears nothing from a server that is gone without a word, so it asks. */
  function watch(current: Redis): void {
    // As in the gate: after a blocked event loop the PONG may be waiting in the socket.
    if (pinging) return void setImmediate(() => pinging && current === connection && current.disconnect())
    pinging = true
    current.ping().then(
      () => {
        pinging = false
      },
      () => {},
    )
  }

  function reconnect(): void {
    if (closed) return
    clearTimeout(reopen)
    reopen = setTimeout(connect, REOPEN_AFTER)
    reopen.unref()
  }

  function forget(): void {
    clearInterval(ping)
    connection = undefined
    pinging = false
    confirmed.clear()
    refused.clear()
  }

  function lose(topics: readonly Topic[]): void {
    for (const topic of topics) {
      confirmed.delete(topic)
      for (const own of wanted.get(topic) ?? []) own.owed = true
    }
    if (topics.length > 0) onLost()
  }

  /** Sends what brings the server nearer to what is wanted, and waits for it, until there is nothing left to send. */
  async function step(): Promise<void> {
    if (stepping) return
    stepping = true
    try {
      for (;;) {
        const current = connection
        if (current === undefined || current.status !== 'ready') return
        const missing = [...wanted.keys()].filter((topic) => !confirmed.has(topic) && !refused.has(topic))
        const surplus = [...confirmed].filter((topic) => !wanted.has(topic))
        if (missing.length > 0) await Promise.all(commandsFor(missing).map((topics) => add(current, topics)))
        else if (surplus.length > 0) await Promise.all(commandsFor(surplus).map((topics) => remove(current, topics)))
        else break
      }
      if (wanted.size === 0) release()
    } catch {
      // The connection was lost in between; its end event starts over.
    } finally {
      stepping = false
    }
  }

  async function add(current: Redis, topics: readonly Topic[]): Promise<void> {
    try {
      await send(current, 'add', topics)
    } catch (error) {
      if (!(isError(error) && error.name === 'ReplyError')) throw error
      // One channel that is not allowed refuses all that were asked for with it.
      if (topics.length > 1) {
        for (const topic of topics) await add(current, [topic])
        return
      }
      if (current === connection) refuse(topics[0] as Topic, error)
      return
    }
    if (current !== connection) return
    for (const topic of topics) if (stillHeld(current, topic)) confirm(topic)
  }

  async function remove(current: Redis, topics: readonly Topic[]): Promise<void> {
    // Before it is sent: who subscribes in between is not confirmed by what is being undone.
    for (const topic of topics) confirmed.delete(topic)
    await send(current, 'remove', topics)
  }

  function confirm(topic: Topic): void {
    confirmed.add(topic)
    for (const own of wanted.get(topic) ?? []) settle(own)
  }

  function settle(own: Own): void {
    own.onConfirmed?.()
    announceGap(own)
    for (const resolve of own.waiting) resolve()
  }

  function refuse(topic: Topic, error: Error): void {
    refused.add(topic)
    for (const own of wanted.get(topic) ?? []) {
      if (!PASSING.test(error.message)) announceGap(own)
      own.onRefused?.(error)
    }
  }

  function announceGap(own: Own): void {
    if (!own.owed) return
    own.owed = false
    callSafely(() => own.onGap?.(), onError)
  }

  function release(): void {
    const last = connection
    forget()
    last?.disconnect()
  }

  return {
    get idle() {
      return wanted.size === 0
    },
    subscribe(kind, name, handle, options = {}) {
      const topic: Topic = `${kind} ${name}`
      const handlers = wanted.get(topic) ?? new Set()
      const own: Own = { ...options, handle, owed: false, waiting: new Set() }
      const isConfirmed = (): boolean => confirmed.has(topic) && handlers.has(own)
      handlers.add(own)
      wanted.set(topic, handlers)
      refused.delete(topic)
      // Not before the caller has what is returned here.
      queueMicrotask(() => isConfirmed() && settle(own))
      connect()
      void step()
      return {
        get confirmed() {
          return isConfirmed()
        },
        ready: (timeoutMs) => {
          if (closed || !handlers.has(own)) return Promise.resolve(false)
          return until(own.waiting, isConfirmed, timeoutMs)
        },
        close() {
          handlers.delete(own)
          for (const resolve of own.waiting) resolve()
          if (handlers.size > 0 || wanted.get(topic) !== handlers) return
          wanted.delete(topic)
          void step()
        },
      }
    },
    retry() {
      refused.clear()
      void step()
    },
    close() {
      closed = true
      clearTimeout(reopen)
      const waiting = [...wanted.values()].flatMap((handlers) => [...handlers].flatMap((own) => [...own.waiting]))
      wanted.clear()
      release()
      for (const resolve of waiting) resolve()
    },
  }
}

/** Resolves to whether it is so: at once where it is, else when `waiting` is called or the time is over. */
export function until(waiting: Set<() => void>, isSo: () => boolean, timeoutMs: number): Promise<boolean> {
  if (isSo()) return Promise.resolve(true)
  return new Promise((resolve) => {
    const settle = (): void => {
      clearTimeout(timer)
      waiting.delete(settle)
      resolve(isSo())
    }
    const timer = setTimeout(settle, timeoutMs)
    waiting.add(settle)
  })
}
