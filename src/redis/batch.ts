import slotOf from 'cluster-key-slot'
import { isCluster, type RedisClient } from './client.js'

/** One command: its name, its key, its other arguments. */
export type BatchCommand = readonly [name: string, key: string, ...args: (string | number | Buffer)[]]

/** `[error, reply]` for each command, in the order given. */
export type BatchReply = readonly [error: Error | null, reply: unknown]

/**
 * Sends the commands in one round trip per server: one pipeline, or on a Cluster one per master concerned, in parallel.
 * Names ending in `Buffer` (`getBuffer`) reply with Buffers.
 */
export async function batch(client: RedisClient, commands: readonly BatchCommand[]): Promise<BatchReply[]> {
  if (!isCluster(client)) return pipeline(client, commands)
  const groups = new Map<string, number[]>()
  for (const [index, command] of commands.entries()) {
    const node = nodeOf(client, command[1])
    const group = groups.get(node)
    if (group === undefined) groups.set(node, [index])
    else group.push(index)
  }
  const replies: BatchReply[] = new Array(commands.length)
  await Promise.all(
    [...groups.values()].map(async (indexes) => {
      const group = indexes.map((index) => commands[index] as BatchCommand)
      const answered = await pipeline(client, group)
      for (const [position, index] of indexes.entries()) replies[index] = answered[position] as BatchReply
    }),
  )
  return replies
}

async function pipeline(client: RedisClient, commands: readonly BatchCommand[]): Promise<BatchReply[]> {
  if (commands.length === 0) return []
  const replies = await client.pipeline(commands.map((command) => [...command])).exec()
  return (replies ?? []) as BatchReply[]
}

/** The server that serves a key; ioredis refuses a pipeline whose keys are served by different ones. */
function nodeOf(client: RedisClient, key: string): string {
  const slot = slotOf(key)
  const slots = (client as unknown as { slots: readonly (readonly string[] | undefined)[] }).slots
  return slots[slot]?.join() ?? String(slot)
}
