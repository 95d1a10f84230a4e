import type { RedisClient } from './client.js'
import type { ConnectionRole } from './connection.js'
import { disconnect } from './disconnect.js'
import { asRedisError, isRedisUnavailable, RedisUnavailableError } from './errors.js'
import { type PoolUse, untilReady, withDeadline } from './pool.js'

/** A connection of a feature's own, for libraries that bring their own commands. */
export interface OwnedConnection {
  readonly client: RedisClient
  /**
   * Fails closed, in time, as the manager's own `execute` does. A failure makes the manager ask over the shared
   * connection, and is no evidence against it by itself.
   */
  execute<T>(operation: string, work: () => Promise<T>, options?: PoolUse): Promise<T>
  /** Closes it and every duplicate made of it, at once. */
  close(): Promise<void>
}

export interface OwnedConnections {
  open(role: ConnectionRole, closing?: () => unknown): OwnedConnection | undefined
  close(): Promise<void>
}

/** Libraries duplicate what they are given; the duplicates belong to the manager as well. */
export function createOwned(
  connect: (role: ConnectionRole) => RedisClient | undefined,
  commandTimeout: number,
  onFailure: () => void,
): OwnedConnections {
  const open = new Map<OwnedConnection, (() => unknown) | undefined>()
  let closed = false

  return {
    open(role, closing) {
      const client = closed ? undefined : connect(role)
      if (client === undefined) return undefined
      const clients = new Set<RedisClient>()
      const ended = new AbortController()
      adopt(client, clients)
      const own: OwnedConnection = {
        client,
        async execute(operation, work, { waitMs = 0, deadlineMs = commandTimeout } = {}) {
          await untilReady(client, waitMs, ended.signal)
          if (client.status !== 'ready') throw new RedisUnavailableError(operation, closed ? 'closed' : 'down')
          try {
            return await withDeadline(operation, work(), deadlineMs)
          } catch (error) {
            const failure = asRedisError(operation, 'lost', error)
            if (isRedisUnavailable(failure)) onFailure()
            throw failure
          }
        },
        async close() {
          ended.abort()
          open.delete(own)
          await Promise.all([...clients].map(closeForGood))
        },
      }
      open.set(own, closing)
      return own
    },
    async close() {
      closed = true
      for (const closing of open.values()) closing?.()
      await Promise.all([...open.keys()].map((own) => own.close()))
    },
  }
}

function adopt(client: RedisClient, clients: Set<RedisClient>): void {
  clients.add(client)
  const duplicate = client.duplicate.bind(client) as (...args: unknown[]) => RedisClient
  const tracked = (...args: unknown[]): RedisClient => {
    const copy = duplicate(...args)
    // Listeners are not copied, and without one ioredis prints every failed attempt.
    copy.on('error', () => {})
    adopt(copy, clients)
    return copy
  }
  client.duplicate = tracked as typeof client.duplicate
}

/** Libraries connect again what they find disconnected. */
function closeForGood(client: RedisClient): Promise<void> {
  client.connect = () => Promise.reject(new Error('Connection is closed.'))
  return disconnect(client, 0)
}
