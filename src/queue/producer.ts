import type { Queue as BullQueue } from 'bullmq'
import { type OwnedConnection, type RedisManager, RedisUnavailableError } from '../redis/index.js'
import { loadBullMQ } from './bullmq.js'

/** The side of a queue that adds and looks, on a connection that fails at once while Redis is away. */
export interface Producer {
  /** Makes the connection ahead of the first use. Never rejects. */
  warm(): Promise<void>
  /** Fails closed, in time. */
  run<T>(operation: string, work: (queue: BullQueue) => Promise<T>, deadline?: number): Promise<T>
  close(): Promise<void>
}

interface Open {
  readonly queue: BullQueue
  readonly connection: OwnedConnection
}

/** For the connection to be made, once. */
const OPEN_WITHIN = 1000

export function prefixOf(redis: RedisManager, name: string): string {
  return redis.keys.key('queue', redis.keys.slot(name))
}

export function createProducer(redis: RedisManager, name: string): Producer {
  let opening: Promise<Open> | undefined
  let closed = false

  async function open(operation: string): Promise<Open> {
    const { Queue } = await loadBullMQ()
    const connection = closed ? undefined : redis.open('command')
    if (connection === undefined) throw new RedisUnavailableError(operation, 'closed')
    const queue = new Queue(name, { connection: connection.client as never, prefix: prefixOf(redis, name) })
    // Every command's own promise tells.
    queue.on('error', () => {})
    const within = { waitMs: OPEN_WITHIN, deadlineMs: OPEN_WITHIN }
    try {
      await connection.execute(operation, () => queue.waitUntilReady(), within)
      return { queue, connection }
    } catch (error) {
      await connection.close()
      throw error
    }
  }

  function opened(operation: string): Promise<Open> {
    if (opening === undefined) {
      const attempt = open(operation)
      opening = attempt
      // BullMQ never recovers from a first connection that failed: the next call begins anew.
      attempt.catch(() => {
        if (opening === attempt) opening = undefined
      })
    }
    return opening
  }

  /** Nothing has been sent yet: an attempt that somebody else began, and that failed, is no answer to this call. */
  async function openedFor(operation: string): Promise<Open> {
    const others = opening
    if (others === undefined) return opened(operation)
    const open = await others.catch(() => undefined)
    return open ?? opened(operation)
  }

  return {
    async warm() {
      if (!closed && redis.available) await opened('queue').catch(() => {})
    },
    async run(operation, work, deadlineMs) {
      if (closed) throw new RedisUnavailableError(operation, 'closed')
      // Known to be away: refused by the gate, before anything is loaded or opened.
      if (!redis.available) return redis.execute(operation, () => Promise.reject(new Error('unreachable')))
      const { queue, connection } = await openedFor(operation)
      return connection.execute(operation, () => work(queue), { deadlineMs })
    },
    async close() {
      closed = true
      const open = await opening?.catch(() => undefined)
      if (open === undefined) return
      await open.connection.close()
      await open.queue.close().catch(() => {})
    },
  }
}
