import type { Server } from 'node:http'
import { afterAll, beforeAll } from '@jest/globals'
import type { Express } from 'express'
import type { Redis } from 'ioredis'
import { createRedisManager, type RedisManager, type RedisManagerOptions } from '../../src/redis/index.js'
import { type EventuallyOptions, eventually as patiently } from '../support/eventually.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'

export interface World {
  readonly server: RedisServer
  readonly redis: RedisManager
  /** A manager of its own, as another process would have. */
  connect(options?: RedisManagerOptions): Promise<RedisManager>
  client(): Redis
}

/** One Redis for a file of tests; every test takes its own limiter names. */
export function useRedis(args: readonly string[] = []): World {
  let server: RedisServer
  let redis: RedisManager
  const others: RedisManager[] = []
  const connect = async (options: RedisManagerOptions = {}): Promise<RedisManager> => {
    const other = createRedisManager({ url: server.url, logger: false, commandTimeout: 1000, ...options })
    others.push(other)
    await other.ready()
    return other
  }
  beforeAll(async () => {
    server = await startRedis({ args })
    redis = await connect()
  })
  afterAll(async () => {
    await Promise.all(others.map((other) => other.close()))
    await server.stop()
  })
  return {
    get server() {
      return server
    },
    get redis() {
      return redis
    },
    connect,
    client: () => server.client(),
  }
}

const servers: Server[] = []

/** Listens until the tests of the file are over, whether they pass or not. */
export function listen(app: Express): Server {
  const server = app.listen(0)
  servers.push(server)
  return server
}

afterAll(() => {
  for (const server of servers) {
    server.closeAllConnections()
    server.close()
  }
})

let last = 0

/** A limiter name no other test uses. */
export function aNewName(): string {
  return `limiter-${++last}`
}

/** With the patience that a loaded machine needs. */
export function eventually<T>(check: () => T | Promise<T>, options: EventuallyOptions = {}): Promise<T> {
  return patiently(check, { within: 10_000, ...options })
}
