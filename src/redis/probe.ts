import type { Redis } from 'ioredis'
import { allMasters, isCluster, type RedisClient } from './client.js'
import { describe } from './describe.js'

/** What a server says that was the master, and is a replica since a failover. */
export const NOT_MASTER = 'READONLY'

/**
 * Sends a PING to every master, and where asked for its role; resolves to what is wrong, if anything is. Meanwhile
 * `silent` holds the masters that have not answered.
 */
export async function probe(client: RedisClient, askRole: boolean, silent: Set<Redis>): Promise<string | undefined> {
  let failure: string | undefined
  try {
    const nodes = allMasters(client)
    if (nodes.length === 0) failure = 'a master is not connected'
    await Promise.all(
      nodes.map(async (node) => {
        silent.add(node)
        await node.ping()
        silent.delete(node)
      }),
    )
    // A user who may not ask is believed to be at the right server.
    const replication = askRole ? await Promise.all(nodes.map((node) => node.info('replication').catch(() => ''))) : []
    if (replication.some((info) => /^role:slave/m.test(info))) failure = NOT_MASTER
  } catch (error) {
    failure = describe(error)
  }
  // Otherwise ioredis learns of a failover from a redirected command, and none is sent while degraded.
  if (failure !== undefined && isCluster(client)) client.refreshSlotsCache()
  return failure
}
