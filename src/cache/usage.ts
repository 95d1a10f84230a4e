import { type RedisManager, scan } from '../redis/index.js'

/** What a cache takes in Redis. */
export interface CacheUsage {
  readonly keys: number
  /** Estimated from a sample. */
  readonly bytes: number
}

const SAMPLE = 100

/** Looks at every key in Redis: for administration. Rejects with RedisUnavailableError. */
export async function usageOf(redis: RedisManager, pattern: string): Promise<CacheUsage> {
  const seen = new Set<string>()
  for await (const keys of scan(redis, pattern)) for (const key of keys) seen.add(key)
  const step = Math.max(1, Math.floor(seen.size / SAMPLE))
  const sample = [...seen].filter((_, index) => index % step === 0)
  const sizes = await redis.execute(
    'cache.usage',
    (client) => Promise.all(sample.map((key) => client.memory('USAGE', key))),
    { deadline: 1000 },
  )
  const total = sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0)
  return { keys: seen.size, bytes: sample.length === 0 ? 0 : Math.round((total / sample.length) * seen.size) }
}
