import type { Redis } from 'ioredis'
import { callSafely } from '../shared/emitter.js'
import { isError } from '../shared/errors.js'

export type MessageHandler = (message: string, channel: string) => void

export interface SubscribeOptions {
  /** The name is a glob pattern. @default false */
  readonly pattern?: boolean
  /** Called after a reconnect: messages may have been missed, read the state again. */
  readonly onGap?: () => void
}

export interface Subscription {
  /** True once the server has confirmed; false where it has not within `timeoutMs`. It stays wanted either way. */
  ready(timeoutMs?: number): Promise<boolean>
  close(): void
}

/** One connection for all subscriptions of the process, opened at the first and closed after the last. */
export interface Subscriber {
  subscribe(channel: string, handler: MessageHandler, options?: SubscribeOptions): Subscription
  close(): void
}

interface Wanted {
  readonly handlers: Set<{ readonly handle: MessageHandler; readonly onGap?: (() => void) | undefined }>
  readonly waiting: Set<() => void>
}

export interface SubscriberOptions {
  /** A fresh connection that does not reconnect by itself (on a Cluster to any node); `undefined` while there is none. */
  readonly open: () => Redis | undefined
  /** What a handler threw. */
  readonly onError: (error: unknown) => void
  /** The server does not allow a channel (ACL); it is tried again after the next reconnect. */
  readonly onRefused: (error: Error) => void
}

const PING_EVERY = 1000
const REOPEN_AFTER = 200
/** Names per command: thousands one by one would take as many round trips after each reconnect. */
const BATCH = 500

/**
 * What is wanted and what the server has confirmed are two sets, brought together step by step, so that fast
 * subscribe/unsubscribe sequences end where they should.
 */
export function createSubscriber({ open, onError, onRefused }: SubscriberOptions): Subscriber {
  const wanted = new Map<string, Wanted>()
  const confirmed = new Set<string>()
  const refused = new Set<string>()
  let connection: Redis | undefined
  let closed = false
  let interrupted = false
  let stepping = false
  let pinging = false
  let reopen: NodeJS.Timeout | undefined
  let ping: NodeJS.Timeout | undefined

  function dispatch(name: string, channel: string, message: string): void {
    for (const { handle } of wanted.get(name)?.handlers ?? []) callSafely(() => handle(message, channel), onError)
  }

  function connect(): void {
    if (closed || connection !== undefined || wanted.size === 0) return
    const fresh = open()
    if (fresh === undefined) return reconnect()
    connection = fresh
    fresh.on('message', (channel: string, message: string) => dispatch(`c${channel}`, channel, message))
    fresh.on('pmessage', (pattern: string, channel: string, message: string) =>
      dispatch(`p${pattern}`, channel, message),
    )
    fresh.on('ready', () => {
      if (connection !== fresh) return
      ping = setInterval(() => watch(fresh), PING_EVERY)
      ping.unref()
      void step()
    })
    fresh.on('end', () => {
      if (connection !== fresh) return
      interrupted ||= confirmed.size > 0
      forget()
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

  /** Sends one command at a time until the server has what is wanted. */
  async function step(): Promise<void> {
    if (stepping) return
    stepping = true
    try {
      for (;;) {
        const current = connection
        if (current === undefined || current.status !== 'ready') return
        const missing = sameKind([...wanted.keys()].filter((name) => !confirmed.has(name) && !refused.has(name)))
        const surplus = sameKind([...confirmed].filter((name) => !wanted.has(name)))
        if (missing.length > 0) await add(current, missing)
        else if (surplus.length > 0) await remove(current, surplus)
        else break
      }
      if (interrupted) {
        interrupted = false
        announceGap()
      }
      if (wanted.size === 0) release()
    } catch {
      // The connection was lost in between; its end event starts over.
    } finally {
      stepping = false
    }
  }

  async function add(current: Redis, names: readonly string[]): Promise<void> {
    const channels = names.map((name) => name.slice(1))
    try {
      await (isPattern(names) ? current.psubscribe(...channels) : current.subscribe(...channels))
    } catch (error) {
      if (!(isError(error) && error.name === 'ReplyError')) throw error
      // One channel that is not allowed refuses all that were asked for with it.
      if (names.length > 1) {
        for (const name of names) await add(current, [name])
        return
      }
      if (current === connection) refused.add(names[0] as string)
      return onRefused(error)
    }
    if (current !== connection) return
    for (const name of names) {
      confirmed.add(name)
      for (const resolve of wanted.get(name)?.waiting ?? []) resolve()
    }
  }

  async function remove(current: Redis, names: readonly string[]): Promise<void> {
    // Before it is sent: who subscribes in between is not confirmed by what is being undone.
    for (const name of names) confirmed.delete(name)
    const channels = names.map((name) => name.slice(1))
    await (isPattern(names) ? current.punsubscribe(...channels) : current.unsubscribe(...channels))
  }

  function announceGap(): void {
    for (const { handlers } of wanted.values()) {
      for (const { onGap } of handlers) callSafely(() => onGap?.(), onError)
    }
  }

  function release(): void {
    const last = connection
    forget()
    last?.disconnect()
  }

  function confirmation(name: string, { waiting }: Wanted, timeoutMs: number): Promise<boolean> {
    if (confirmed.has(name)) return Promise.resolve(true)
    if (closed) return Promise.resolve(false)
    return new Promise((resolve) => {
      const settle = (): void => {
        clearTimeout(timer)
        waiting.delete(settle)
        resolve(confirmed.has(name))
      }
      const timer = setTimeout(settle, timeoutMs)
      waiting.add(settle)
    })
  }

  return {
    subscribe(channel, handle, { pattern = false, onGap } = {}) {
      const name = `${pattern ? 'p' : 'c'}${channel}`
      const entry = wanted.get(name) ?? { handlers: new Set(), waiting: new Set() }
      wanted.set(name, entry)
      const own = { handle, onGap }
      entry.handlers.add(own)
      connect()
      void step()
      return {
        ready: (timeoutMs = 1000) => confirmation(name, entry, timeoutMs),
        close() {
          entry.handlers.delete(own)
          if (entry.handlers.size > 0 || wanted.get(name) !== entry) return
          wanted.delete(name)
          void step()
        },
      }
    },
    close() {
      closed = true
      clearTimeout(reopen)
      const waiting = [...wanted.values()].flatMap((entry) => [...entry.waiting])
      wanted.clear()
      release()
      for (const settle of waiting) settle()
    },
  }
}

function isPattern(names: readonly string[]): boolean {
  return names[0]?.[0] === 'p'
}

/** The first names that fit into one command. */
function sameKind(names: readonly string[]): readonly string[] {
  return names.filter((name) => name[0] === names[0]?.[0]).slice(0, BATCH)
}
