import { type BatchCommand, batch, isCluster, type RedisClient } from '../redis/index.js'

/** What lies under keys of one slot and under keys of another: one command, or on a Cluster two at the same time. */
export function mget(
  client: RedisClient,
  keys: readonly string[],
  others: readonly string[],
): Promise<(Buffer | null)[]> {
  if (!isCluster(client)) return client.mgetBuffer([...keys, ...others])
  return Promise.all([client.mgetBuffer([...keys]), client.mgetBuffer([...others])]).then((replies) => replies.flat())
}

/** What lies under keys of any slots: one command, or on a Cluster one pipeline per master. */
export async function mgetMany(client: RedisClient, keys: readonly string[]): Promise<(Buffer | null)[]> {
  if (keys.length === 0) return []
  if (!isCluster(client)) return client.mgetBuffer([...keys])
  const replies = await batch(
    client,
    keys.map((key): BatchCommand => ['getBuffer', key]),
  )
  return replies.map(([error, reply]) => {
    if (error !== null) throw error
    return reply as Buffer | null
  })
}
