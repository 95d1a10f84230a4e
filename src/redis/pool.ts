import type { RedisClient } from './client.js'
import { disconnect } from './disconnect.js'
import { asRedisError, RedisUnavailableError } from './errors.js'
import { overdue } from './overdue.js'

export interface PoolUse {
  /** For a free connection and for it to be ready, in ms. @default 1000 */
  readonly waitMs?: number | undefined
  /** For the work itself, in ms; then its connection is closed, and its outcome is unknown. @default none */
  readonly deadlineMs?: number | undefined
}

/** Connections for work that blocks or holds a conversation (BRPOP, WATCH): never the shared one. */
export interface Pool {
  /**
   * Runs `work` with a connection of its own. Rejects with RedisUnavailableError where none is to be had in time or it
   * was lost, with RedisCommandError where Redis refused a command. The connection is reused only after success.
   */
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

type Waiter = (client: RedisClient | undefined) => void

export function createPool({ open, max, idleMs = 30_000 }: PoolOptions): Pool {
  const all = new Set<RedisClient>()
  const idle: { readonly client: RedisClient; readonly timer: NodeJS.Timeout }[] = []
  /** In the order they came: sets keep it. */
  const waiters = new Set<Waiter>()
  const closing = new AbortController()
  const { signal } = closing

  function drop(client: RedisClient): void {
    all.delete(client)
    void disconnect(client, 0)
  }

  function takeIdle(): RedisClient | undefined {
    for (let last = idle.pop(); last !== undefined; last = idle.pop()) {
      clearTimeout(last.timer)
      if (last.client.status === 'ready') return last.client
      drop(last.client)
    }
    return undefined
  }

  function openOne(): RedisClient | undefined {
    if (signal.aborted || all.size >= max) return undefined
    const client = open()
    if (client !== undefined) all.add(client)
    return client
  }

  function nextWaiter(): Waiter | undefined {
    const [waiter] = waiters
    if (waiter !== undefined) waiters.delete(waiter)
    return waiter
  }

  function giveBack(client: RedisClient, reusable: boolean): void {
    if (signal.aborted || !reusable || client.status !== 'ready') {
      drop(client)
      // Its place is free.
      nextWaiter()?.(openOne())
      return
    }
    const waiter = nextWaiter()
    if (waiter !== undefined) return waiter(client)
    const timer = setTimeout(() => {
      idle.splice(
        idle.findIndex((each) => each.client === client),
        1,
      )
      drop(client)
    }, idleMs)
    timer.unref()
    idle.push({ client, timer })
  }

  function acquire(waitMs: number): Promise<RedisClient | undefined> {
    const client = takeIdle() ?? openOne()
    // With none in use there is nobody to wait for.
    if (client !== undefined || signal.aborted || all.size === 0) return Promise.resolve(client)
    return new Promise((resolve) => {
      const waiter: Waiter = (given) => {
        clearTimeout(timer)
        waiters.delete(waiter)
        resolve(given)
      }
      const timer = setTimeout(waiter, waitMs, undefined)
      waiters.add(waiter)
    })
  }

  return {
    get size() {
      return all.size
    },
    async use(operation, work, { waitMs = 1000, deadlineMs } = {}) {
      const started = performance.now()
      const client = await acquire(waitMs)
      if (client === undefined) {
        throw new RedisUnavailableError(operation, signal.aborted ? 'closed' : all.size === 0 ? 'down' : 'overloaded')
      }
      let done = false
      try {
        await untilReady(client, waitMs - (performance.now() - started), signal)
        if (client.status !== 'ready') throw new RedisUnavailableError(operation, signal.aborted ? 'closed' : 'down')
        const result = await withDeadline(operation, work(client), deadlineMs)
        done = true
        return result
      } catch (error) {
        throw asRedisError(operation, signal.aborted ? 'closed' : 'lost', error)
      } finally {
        giveBack(client, done)
      }
    },
    async close() {
      closing.abort()
      for (const waiter of waiters) waiter(undefined)
      for (const { timer } of idle.splice(0)) clearTimeout(timer)
      await Promise.all([...all].map((client) => disconnect(client, 0)))
      all.clear()
    },
  }
}

export function untilReady(client: RedisClient, waitMs: number, signal: AbortSignal): Promise<void> {
  if (client.status === 'ready') return Promise.resolve()
  return new Promise((resolve) => {
    const settle = (): void => {
      clearTimeout(timer)
      client.off('ready', settle)
      signal.removeEventListener('abort', settle)
      resolve()
    }
    const timer = setTimeout(settle, Math.max(waitMs, 0))
    client.once('ready', settle)
    signal.addEventListener('abort', settle)
  })
}

/** Several round trips may have to follow each other. */
const AFTER_BLOCK_MS = 250

export async function withDeadline<T>(operation: string, work: Promise<T>, deadlineMs: number | undefined): Promise<T> {
  if (deadlineMs === undefined) return work
  const started = performance.now()
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    const expire = (): void => reject(new RedisUnavailableError(operation, 'timeout'))
    timer = setTimeout(() => {
      timer = overdue(started, deadlineMs, Math.min(deadlineMs, AFTER_BLOCK_MS), expire)
    }, deadlineMs)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
