import type { Cluster, Redis } from 'ioredis'

/** The ioredis client that commands are given. */
export type RedisClient = Redis | Cluster

/** Never `instanceof`: two copies of ioredis in one tree would break it. */
export function isCluster(client: RedisClient): client is Cluster {
  return (client as { isCluster?: boolean }).isCluster === true
}

/** The nodes that hold keys: every master of a Cluster, else the one server. */
export function masters(client: RedisClient): readonly Redis[] {
  return isCluster(client) ? client.nodes('master') : [client]
}

/** As {@link masters}, but none while a master that owns slots is not connected: part of the keys is out of reach. */
export function allMasters(client: RedisClient): readonly Redis[] {
  const nodes = masters(client)
  if (!isCluster(client)) return nodes
  const known = new Set(nodes.map(({ options }) => `${options.host}:${options.port}`))
  return slotsOf(client).every((servers) => servers[0] !== undefined && known.has(servers[0])) ? nodes : []
}

/** By slot number: the addresses that serve it, the master's first. */
export function slotsOf(client: Cluster): readonly (readonly string[])[] {
  return (client as unknown as { slots: readonly (readonly string[])[] }).slots
}
