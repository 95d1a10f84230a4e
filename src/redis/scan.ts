import type { Redis } from 'ioredis'
import { allMasters } from './client.js'
import { RedisUnavailableError } from './errors.js'
import type { RedisManager } from './manager.js'

export interface ScanOptions {
  /** Keys looked at per step: more is faster, less is kinder to the server. @default 500 */
  readonly count?: number
}

/**
 * Batches of the keys that match, over all masters. A key may come twice, and one that comes or goes meanwhile may or may
 * not be seen. Fails closed with RedisUnavailableError, also where one master of a Cluster is out of reach.
 */
export async function* scan(
  redis: Pick<RedisManager, 'execute'>,
  pattern: string,
  { count = 500 }: ScanOptions = {},
): AsyncGenerator<string[], void, undefined> {
  const nodes = await redis.execute('scan', async (client) => allMasters(client))
  if (nodes.length === 0) throw new RedisUnavailableError('scan', 'degraded')
  for (const node of nodes) yield* scanNode(redis, node, pattern, count)
}

async function* scanNode(
  redis: Pick<RedisManager, 'execute'>,
  node: Redis,
  pattern: string,
  count: number,
): AsyncGenerator<string[], void, undefined> {
  let cursor = '0'
  do {
    const [next, keys] = await redis.execute('scan', () => node.scan(cursor, 'MATCH', pattern, 'COUNT', count), {
      deadline: 1000,
    })
    cursor = next
    if (keys.length > 0) yield keys
  } while (cursor !== '0')
}
