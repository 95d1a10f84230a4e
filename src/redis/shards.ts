import type { Cluster, Redis } from 'ioredis'
import { masters, slotsOf } from './client.js'

/** Where a Cluster's slots are. */
export interface Shards {
  /** The master that owns the slot, as far as is known. */
  ownerOf(slot: number): string | undefined
  /** A fresh connection to it that does not reconnect by itself. */
  open(owner: string): Redis | undefined
  /** Asks the Cluster again who owns what. */
  refresh(): void
}

export function shardsOf(cluster: Cluster, connect: (node: Redis) => Redis | undefined): Shards {
  return {
    ownerOf: (slot) => slotsOf(cluster)[slot]?.[0],
    open(owner) {
      const node = masters(cluster).find(({ options }) => `${options.host}:${options.port}` === owner)
      return node && connect(node)
    },
    refresh: () => cluster.refreshSlotsCache(),
  }
}
