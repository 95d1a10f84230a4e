import type { Redis } from 'ioredis'

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

const PING_EVERY = 1000
const REOPEN_AFTER = 200

/**
 * `open` gives a fresh connection that does not reconnect by itself (on a Cluster to any node), or `undefined` while
 * none can be made. What is wanted and what the server has confirmed are two sets, brought together one step at a
 * time, so that fast subscribe/unsubscribe sequences end where they should.
 */
export function createSubscriber(open: () => Redis | undefined, onError: (error: unknown) => void): Subscriber {
  const wanted = new Map<string, Wanted>()
  const confirmed = new Set<string>()
  let connection: Redis | undefined
  let closed = false
  let interrupted = false
  let stepping = false
  let reopen: NodeJS.Timeout | undefined
  let ping: NodeJS.Timeout | undefined

  const dispatch = (name: string, channel: string, message: string): void => {
    for (const { handle } of wanted.get(name)?.handlers ?? []) {
      try {
        handle(message, channel)
      } catch (error) {
        onError(error)
      }
    }
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
      // An idle subscriber owes no replies, so only a PING arms the connection's watchdog.
      ping = setInterval(() => fresh.ping().catch(() => {}), PING_EVERY)
      ping.unref()
      void step()
    })
    fresh.on('end', () => {
      if (connection !== fresh) return
      clearInterval(ping)
      connection = undefined
      interrupted ||= confirmed.size > 0
      confirmed.clear()
      reconnect()
    })
  }

  function reconnect(): void {
    if (closed) return
    clearTimeout(reopen)
    reopen = setTimeout(connect, REOPEN_AFTER)
    reopen.unref()
  }

  /** Changes one name at a time until the server has what is wanted. */
  async function step(): Promise<void> {
    if (stepping) return
    stepping = true
    try {
      for (;;) {
        const current = connection
        if (current === undefined || current.status !== 'ready') return
        const missing = [...wanted.keys()].find((name) => !confirmed.has(name))
        const surplus = [...confirmed].find((name) => !wanted.has(name))
        const name = missing ?? surplus
        if (name === undefined) break
        const channel = name.slice(1)
        if (missing !== undefined) {
          await (name[0] === 'p' ? current.psubscribe(channel) : current.subscribe(channel))
          if (current !== connection) continue
          confirmed.add(name)
          for (const resolve of wanted.get(name)?.waiting ?? []) resolve()
        } else {
          await (name[0] === 'p' ? current.punsubscribe(channel) : current.unsubscribe(channel))
          confirmed.delete(name)
        }
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

  function announceGap(): void {
    for (const { handlers } of wanted.values()) {
      for (const { onGap } of handlers) {
        try {
          onGap?.()
        } catch (error) {
          onError(error)
        }
      }
    }
  }

  function release(): void {
    clearInterval(ping)
    const current = connection
    connection = undefined
    confirmed.clear()
    current?.disconnect()
    ;(current as unknown as { stream?: { destroy(): void } } | undefined)?.stream?.destroy()
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
        ready: (timeoutMs = 1000) =>
          new Promise((resolve) => {
            if (confirmed.has(name)) return resolve(true)
            const settle = (answer: boolean) => () => {
              clearTimeout(timer)
              entry.waiting.delete(yes)
              resolve(answer)
            }
            const yes = settle(true)
            const timer = setTimeout(settle(false), timeoutMs)
            entry.waiting.add(yes)
          }),
        close() {
          entry.handlers.delete(own)
          if (entry.handlers.size === 0 && wanted.get(name) === entry) {
            wanted.delete(name)
            void step()
          }
        },
      }
    },
    close() {
      closed = true
      clearTimeout(reopen)
      wanted.clear()
      release()
    },
  }
}
