import { afterAll, beforeAll } from '@jest/globals'
import { createRedisManager, type RedisManager, type RedisManagerOptions } from '../../src/redis/index.js'
import { type RedisServer, type StartOptions, startRedis } from './redis-server.js'

export interface OwnRedis {
  readonly server: RedisServer
  readonly redis: RedisManager
}

export interface UseRedisOptions {
  readonly server?: StartOptions
  /** Besides the url. What is not given is silent and patient: a loaded machine is no outage. */
  readonly manager?: RedisManagerOptions
  /** Closes what `open` has made, before the manager and the server. */
  readonly close?: () => unknown
}

/**
 * Gives the tests of this file, or of this `describe`, a server of their own and a manager that uses it: `open` is told of
 * both before the first test.
 */
export function useRedis(open: (own: OwnRedis) => unknown, options: UseRedisOptions = {}): void {
  let own: OwnRedis
  beforeAll(async () => {
    const server = await startRedis(options.server)
    const redis = createRedisManager({ url: server.url, logger: false, commandTimeout: 2000, ...options.manager })
    own = { server, redis }
    if (!(await redis.ready('10s'))) throw new Error('the manager does not use the server')
    await open(own)
  })
  afterAll(async () => {
    own.server.resume()
    await options.close?.()
    await own.redis.close()
    await own.server.stop()
  })
}
