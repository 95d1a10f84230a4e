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

/** As {@link mget} where the first keys are of any slots: one command, or on a Cluster one pipeline per master. */
export async function mgetMany(
  client: RedisClient,
  keys: readonly string[],
  others: readonly string[],
): Promise<(Buffer | null)[]> {
  if (!isCluster(client)) return client.mgetBuffer([...keys, ...others])
  const commands = keys.map((key): BatchCommand => ['getBuffer', key])
  const [replies, last] = await Promise.all([batch(client, commands), client.mgetBuffer([...others])])
  for (const [error] of replies) if (error !== null) throw error
  return [...replies.map(([, reply]) => reply as Buffer | null), ...last]
}
