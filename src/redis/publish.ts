import { isError } from '../shared/errors.js'
import { isCluster, type RedisClient } from './client.js'
import { isUnknownCommand } from './describe.js'

/**
 * Sends a message to the subscribers of a channel. `sharded` as in {@link SubscribeOptions}: on a Cluster only the master
 * that owns the channel's slot passes it on, or every node where that one is older than Redis 7.
 */
export async function publish(
  client: RedisClient,
  channel: string,
  message: string,
  { sharded = false }: { readonly sharded?: boolean } = {},
): Promise<void> {
  if (!sharded || !isCluster(client)) {
    await client.publish(channel, message)
    return
  }
  try {
    await client.spublish(channel, message)
  } catch (error) {
    if (!(isError(error) && isUnknownCommand(error))) throw error
    await client.publish(channel, message)
  }
}
