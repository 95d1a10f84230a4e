import type { Redis } from 'ioredis'
import { createShardSubscriber } from './shard-subscriber.js'
import type { Shards } from './shards.js'
import { createLine, type MessageHandler } from './subscription-line.js'

export interface SubscribeOptions {
  /** The name is a glob pattern. @default false */
  readonly pattern?: boolean
  /**
   * Where Redis is a Cluster of Redis 7 or later: hears what is published to the one shard that owns the channel's slot,
   * instead of what every node passes on. Not for patterns. @default false
   */
  readonly sharded?: boolean
  /** Called after a reconnect: messages may have been missed, read the state again. */
  readonly onGap?: () => void
}

export interface Subscription {
  /** True once the server has confirmed; false where it has not within `timeoutMs`. It stays wanted either way. */
  ready(timeoutMs?: number): Promise<boolean>
  close(): void
}

/**
 * One connection for all subscriptions of the process, and one per shard that sharded ones need; opened at the first and
 * closed after the last.
 */
export interface Subscriber {
  subscribe(channel: string, handler: MessageHandler, options?: SubscribeOptions): Subscription
  close(): void
}

export interface SubscriberOptions {
  /** A fresh connection that does not reconnect by itself (on a Cluster to any node); `undefined` while there is none. */
  readonly open: () => Redis | undefined
  /** Where Redis is a Cluster. */
  readonly shards?: Shards | undefined
  /** What a handler threw. */
  readonly onError: (error: unknown) => void
  /** The server does not allow a channel (ACL); it is tried again after the next reconnect. */
  readonly onRefused: (error: Error) => void
}

export function createSubscriber({ open, shards, onError, onRefused }: SubscriberOptions): Subscriber {
  const plain = createLine({ open, onError })
  const sharded = shards && createShardSubscriber({ shards, plain, onError, onRefused })
  return {
    subscribe(channel, handler, { pattern = false, sharded: wantsShard = false, onGap } = {}) {
      const subscription =
        sharded !== undefined && wantsShard && !pattern
          ? sharded.subscribe(channel, handler, onGap)
          : plain.subscribe(pattern ? 'pattern' : 'channel', channel, handler, { onGap, onRefused })
      return { ready: (timeoutMs = 1000) => subscription.ready(timeoutMs), close: () => subscription.close() }
    },
    close() {
      sharded?.close()
      plain.close()
    },
  }
}
