import type { RedisManager } from '../redis/index.js'

/** An evicted job is a lost job. Says so to the operator, once, where the server evicts. */
export async function warnOfEviction(redis: RedisManager): Promise<void> {
  const policy = await redis.attempt<string | undefined>(
    'queue.policy',
    async (client) => /^maxmemory_policy:(\S+)/m.exec(String(await client.info('memory')))?.[1],
    () => undefined,
  )
  if (policy === undefined || policy === 'noeviction') return
  redis.warn(
    'HOLDFAST_QUEUE_EVICTION',
    `Redis evicts keys when it is full (maxmemory-policy ${policy}) and may lose jobs; give queues a server with noeviction`,
  )
}
