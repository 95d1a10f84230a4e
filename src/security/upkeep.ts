import type { RedisManager } from '../redis/index.js'
import { type LogKeys, STREAMS, type StoreOptions } from './append.js'

const EVERY = 5 * 60_000

export interface Upkeep {
  /** Removes what is past its retention; how much that was. */
  trim(): Promise<number>
  close(): void
}

export interface UpkeepOptions {
  readonly redis: RedisManager
  readonly keys: LogKeys
  readonly store: StoreOptions
  readonly now: () => number
}

/** Retention by age, beside the caps by number. Every process does it, since doing it twice is doing it once. */
export function createUpkeep({ redis, keys, store, now }: UpkeepOptions): Upkeep {
  const retention = { security: store.retention, audit: store.auditRetention }

  async function trim(): Promise<number> {
    let removed = 0
    for (const stream of STREAMS) {
      for (let shard = 0; shard < store.shards; shard++) {
        const oldest = Math.max(0, Math.floor(now() - retention[stream]))
        removed += await redis.attempt(
          'security.trim',
          (client) => client.xtrim(keys.stream(stream, shard), 'MINID', oldest),
          () => 0,
          { deadline: 1000 },
        )
      }
    }
    return removed
  }

  // Not in step with the other processes that were started in the same moment.
  const timer = setInterval(() => void trim(), EVERY * (0.75 + Math.random() / 2))
  timer.unref()
  return { trim, close: () => clearInterval(timer) }
}
