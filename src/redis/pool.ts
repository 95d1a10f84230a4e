import type { RedisClient } from './client.js'
import { disconnect } from './disconnect.js'
import { RedisUnavailableError } from './errors.js'

export interface PoolUse {
  /** For a free connection and for it to be ready, in ms. @default 1000 */
  readonly waitMs?: number
}

/** Connections for work that blocks or holds a conversation (BRPOP, WATCH): never the shared one. */
export interface Pool {
  /** Runs `work` with a connection of its own. Rejects with RedisUnavailableError where none is to be had in time. */
  use<T>(operation: string, work: (client: RedisClient) => Promise<T>, options?: PoolUse): Promise<T>
  readonly size: number
  close(): Promise<void>
}

export interface PoolOptions {
  /** Opens a connection, or gives `undefined` where no Redis is configured. */
  readonly open: () => RedisClient | undefined
  readonly max: number
  /** @default 30000 */
  readonly idleMs?: number
}

interface Waiter {
  readonly resolve: (client: RedisClient | undefined) => void
}

export function createPool({ open, max, idleMs = 30_000 }: PoolOptions): Pool {
  const all = new Set<RedisClient>()
  const idle: { readonly client: RedisClient; readonly timer: NodeJS.Timeout }[] = []
  const waiters: Waiter[] = []
  let closed = false

  function drop(client: RedisClient): void {
    all.delete(client)
    void disconnect(client, 0)
  }

  function takeIdle(): RedisClient | undefined {
    for (;;) {
      const last = idle.pop()
      if (last === undefined) return undefined
      clearTimeout(last.timer)
      if (last.client.status === 'ready') return last.client
      drop(last.client)
    }
  }

  function openOne(): RedisClient | undefined {
    if (closed || all.size >= max) return undefined
    const client = open()
    if (client !== undefined) all.add(client)
    return client
  }

  function giveBack(client: RedisClient): void {
    if (closed || client.status !== 'ready') drop(client)
    else {
      const waiter = waiters.shift()
      if (waiter !== undefined) return waiter.resolve(client)
      const timer = setTimeout(() => {
        const index = idle.findIndex((each) => each.client === client)
        if (index >= 0) idle.splice(index, 1)
        drop(client)
      }, idleMs)
      timer.unref()
      idle.push({ client, timer })
      return
    }
    // A place is free although the connection is not reusable.
    const waiter = waiters.shift()
    if (waiter !== undefined) waiter.resolve(openOne())
  }

  function acquire(waitMs: number): Promise<RedisClient | undefined> {
    const client = takeIdle() ?? openOne()
    if (client !== undefined || closed || all.size === 0) return Promise.resolve(client)
    return new Promise((resolve) => {
      const waiter: Waiter = {
        resolve: (given) => {
          clearTimeout(timer)
          resolve(given)
        },
      }
      const timer = setTimeout(() => {
        waiters.splice(waiters.indexOf(waiter), 1)
        resolve(undefined)
      }, waitMs)
      waiters.push(waiter)
    })
  }

  return {
    get size() {
      return all.size
    },
    async use(operation, work, { waitMs = 1000 } = {}) {
      const started = performance.now()
      const client = await acquire(waitMs)
      if (client === undefined) throw new RedisUnavailableError(operation, closed ? 'closed' : 'overloaded')
      try {
        if (!(await becomesReady(client, waitMs - (performance.now() - started)))) {
          throw new RedisUnavailableError(operation, 'down')
        }
        return await work(client)
      } finally {
        giveBack(client)
      }
    },
    async close() {
      closed = true
      for (const waiter of waiters.splice(0)) waiter.resolve(undefined)
      for (const { timer } of idle.splice(0)) clearTimeout(timer)
      await Promise.all([...all].map((client) => disconnect(client, 0)))
      all.clear()
    },
  }
}

function becomesReady(client: RedisClient, waitMs: number): Promise<boolean> {
  if (client.status === 'ready') return Promise.resolve(true)
  return new Promise((resolve) => {
    const settle = (answer: boolean): void => {
      clearTimeout(timer)
      client.off('ready', yes)
      resolve(answer)
    }
    const yes = (): void => settle(true)
    const timer = setTimeout(() => settle(false), Math.max(waitMs, 0))
    client.once('ready', yes)
  })
}
