import { type Cache, type CacheOptions, createCache } from '../../src/cache/index.js'
import { createRedisManager, type RedisManager, type RedisManagerOptions } from '../../src/redis/index.js'
import { eventually } from '../support/eventually.js'

/** A cache with connections of its own, as in a process of its own. */
export interface Peer {
  readonly redis: RedisManager
  readonly cache: Cache
  close(): Promise<void>
}

export async function peer(
  manager: RedisManagerOptions,
  options: Omit<CacheOptions, 'redis'> = {},
  armed: boolean = options.local !== undefined && options.local !== false,
): Promise<Peer> {
  // What is late is left to the tests of outages.
  const redis = createRedisManager({ logger: false, commandTimeout: '10s', ...manager })
  await redis.ready(20_000)
  let cache: Cache
  try {
    cache = createCache({ redis, jitter: 0, ...options })
    if (armed) await eventually(() => cache.stats().local.mode !== 'off')
  } catch (error) {
    await redis.close()
    throw error
  }
  return {
    redis,
    cache,
    async close() {
      cache.close()
      await redis.close()
    },
  }
}

/** A promise and what settles it. */
export interface Deferred<T> {
  readonly promise: Promise<T>
  readonly resolve: (value: T) => void
}

export function deferred<T = void>(): Deferred<T> {
  let resolve: (value: T) => void = () => {}
  const promise = new Promise<T>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}
