import slotOf from 'cluster-key-slot'
import type { Cluster } from 'ioredis'
import { isCluster, type RedisClient, slotsOf } from './client.js'
import { classify } from './errors.js'

/** One command: its name, its key, its other arguments. */
export type BatchCommand = readonly [name: string, key: string, ...args: (string | number | Buffer)[]]

/** `[error, reply]` for each command, in the order given. */
export type BatchReply = readonly [error: Error | null, reply: unknown]

/**
 * Sends the commands in one round trip per server: one pipeline, or on a Cluster one per master concerned, in parallel.
 * Names ending in `Buffer` (`getBuffer`) reply with Buffers. A command that Redis refuses has its error in its place;
 * where Redis itself is lost the whole batch rejects, and each command may or may not have run.
 */
export async function batch(client: RedisClient, commands: readonly BatchCommand[]): Promise<BatchReply[]> {
  if (commands.length === 0) return []
  if (!isCluster(client)) return pipeline(client, commands)
  const groups = new Map<string, number[]>()
  for (const [index, [, key]] of commands.entries()) {
    const servers = serversOf(client, key)
    const group = groups.get(servers)
    if (group === undefined) groups.set(servers, [index])
    else group.push(index)
  }
  const replies: BatchReply[] = new Array(commands.length)
  await Promise.all(
    [...groups.values()].map(async (indexes) => {
      const answered = await pipeline(
        client,
        indexes.map((index) => commands[index] as BatchCommand),
      )
      for (const [position, index] of indexes.entries()) replies[index] = answered[position] as BatchReply
    }),
  )
  return replies
}

async function pipeline(client: RedisClient, commands: readonly BatchCommand[]): Promise<BatchReply[]> {
  const replies = (await client.pipeline(commands.map((command) => [...command])).exec()) ?? []
  for (const [error] of replies) if (error !== null && classify(error) === 'outage') throw error
  return replies as BatchReply[]
}

/** ioredis refuses a pipeline whose keys are served by different servers. */
function serversOf(client: Cluster, key: string): string {
  const slot = slotOf(key)
  return slotsOf(client)[slot]?.join() ?? String(slot)
}
