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
