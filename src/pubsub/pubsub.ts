import { type FallbackReason, publish, type RedisManager, type Subscription } from '../redis/index.js'
import { type Duration, toMs } from '../shared/duration.js'
import { callSafely } from '../shared/emitter.js'
import { ConfigurationError } from '../shared/errors.js'
import { aBoolean, aManager, anInteger, checkOptions, type Rules, requireOptions } from '../shared/options.js'
import { encodePayload, PayloadError } from '../shared/payload.js'
import type { Channel, ChannelPattern } from './channel.js'
import { nameOf, partsOf, patternOf } from './names.js'
import { check } from './schema.js'

export interface PubSubOptions {
  readonly redis: RedisManager
  /**
   * While a message certainly did not reach Redis, hand it to the subscribers of this process. Other processes never
   * see it. @default false
   */
  readonly localWhenDown?: boolean | undefined
  /** Largest message as JSON. @default 1048576 (1 MiB) */
  readonly maxBytes?: number | undefined
}

/**
 * `published`: Redis took it. `local`: only subscribers of this process were given it. `dropped`: nobody was.
 * `unknown`: Redis did not answer in time, and may or may not have passed it on.
 */
export type PublishResult =
  | { readonly outcome: 'published' }
  | { readonly outcome: 'local' | 'dropped' | 'unknown'; readonly reason: FallbackReason }

/** What a handler is told about a message. */
export interface MessageInfo {
  /** Of the channel it was published on, also where a whole branch is subscribed to. */
  readonly parts: readonly string[]
  /** It came from this process, because Redis was away. */
  readonly local: boolean
}

export interface SubscribeOptions {
  /** Messages may have been missed while the connection was interrupted: read the state again. */
  readonly onGap?: (() => unknown) | undefined
}

export interface ChannelSubscription {
  /** True once Redis has confirmed; false where it has not within the time. It stays wanted either way. @default '1s' */
  ready(within?: Duration): Promise<boolean>
  close(): void
}

export interface PubSub {
  /**
   * Sends a message to whoever is subscribed at this moment, in every process. Never rejects because of Redis. Rejects
   * with a `PayloadError` where the message is no JSON, too large or not what the channel's schema allows.
   */
  publish<Input, Output>(channel: Channel<Input, Output>, message: Input): Promise<PublishResult>
  /**
   * Messages arrive in the order Redis received them. What `handler` throws or rejects with is logged. Throws a
   * `ConfigurationError` for a branch of sharded channels.
   */
  subscribe<Input, Output>(
    channel: Channel<Input, Output> | ChannelPattern<Input, Output>,
    handler: (message: Output, info: MessageInfo) => unknown,
    options?: SubscribeOptions,
  ): ChannelSubscription
  /** Ends every subscription made here; the manager stays open. Idempotent. */
  close(): void
}

interface Own {
  readonly covers: (name: string) => boolean
  readonly receive: (text: string, name: string, local: boolean) => unknown
  readonly subscription: Subscription
}

const rules: Rules<PubSubOptions> = {
  redis: aManager,
  localWhenDown: aBoolean,
  maxBytes: anInteger(1, 512 * 1024 * 1024),
}

/** Redis did not see the message for certain. With `timeout` or `lost` it may have: sending it again could double it. */
const NOT_SENT: ReadonlySet<FallbackReason> = new Set(['connecting', 'down', 'degraded', 'closed', 'overloaded'])

/**
 * Typed messages between processes over the manager's one subscriber connection. At most once: who is not subscribed, or
 * is reconnecting, misses a message, and learns so by `onGap`.
 *
 * @example
 * ```ts
 * import { createPubSub, createRedisManager } from 'holdfast'
 * import { defineChannel } from 'holdfast/pubsub'
 *
 * const prices = defineChannel<{ sku: string; cents: number }>('prices')
 * const bus = createPubSub({ redis: createRedisManager() })
 * bus.subscribe(prices, ({ sku, cents }) => console.log(sku, cents), { onGap: () => console.log('read them again') })
 * await bus.publish(prices, { sku: 'anchor', cents: 12_000 })
 * ```
 */
export function createPubSub(options: PubSubOptions): PubSub {
  checkOptions('createPubSub', options, rules)
  requireOptions('createPubSub', options, rules, 'redis')
  const { redis, localWhenDown = false, maxBytes = 1024 * 1024 } = options
  const { keys } = redis
  const subscriptions = new Set<Own>()

  function deliverHere(name: string, text: string): boolean {
    const concerned = [...subscriptions].filter(({ covers }) => covers(name))
    for (const { receive } of concerned) {
      callSafely(() => receive(text, name, true), reportHandler)
    }
    return concerned.length > 0
  }

  function reportHandler(): void {
    redis.warn('HOLDFAST_PUBSUB_HANDLER', 'a handler of a pub/sub channel threw')
  }

  return {
    async publish(channel, message) {
      const checked = check(channel.schema as never, message)
      if (!checked.ok) throw new PayloadError('publish', 'invalid', `the message ${checked.problem}`)
      const text = encodePayload('publish', message, maxBytes)
      const name = nameOf(keys, channel.parts)
      return redis.attempt<PublishResult>(
        'pubsub.publish',
        async (client) => {
          await publish(client, name, text, channel)
          return { outcome: 'published' }
        },
        (reason) => {
          if (!NOT_SENT.has(reason)) return { outcome: reason === 'error' ? 'dropped' : 'unknown', reason }
          return { outcome: localWhenDown && deliverHere(name, text) ? 'local' : 'dropped', reason }
        },
      )
    },

    subscribe(channel, handler, { onGap } = {}) {
      const pattern = 'pattern' in channel
      const name = pattern ? patternOf(keys, channel.parts) : nameOf(keys, channel.parts)
      const label = channel.parts.join('/')
      if (pattern && channel.sharded) {
        throw new ConfigurationError('subscribe', 'channel', 'must not be a branch of sharded channels')
      }

      const receive = (text: string, from: string, local: boolean): unknown => {
        const message = parse(text)
        const checked = message.ok ? check(channel.schema as never, message.value) : message
        if (checked.ok) return handler(checked.value as never, { parts: partsOf(keys, from), local })
        redis.emit('pubsub.invalid', { channel: label, problem: checked.problem })
        redis.warn(`HOLDFAST_PUBSUB_INVALID:${label}`, `a message on channel "${label}" ${checked.problem}`)
        return undefined
      }
      const subscription = redis.subscriber.subscribe(name, (text, from) => receive(text, from, false), {
        pattern,
        sharded: channel.sharded,
        onGap: () => {
          redis.emit('pubsub.gap', { channel: label })
          return onGap?.()
        },
      })
      const own: Own = {
        covers: pattern ? (other) => other.startsWith(name.slice(0, -1)) : (other) => other === name,
        receive,
        subscription,
      }
      subscriptions.add(own)
      return {
        ready: (within = 1000) => subscription.ready(toMs(within)),
        close() {
          subscriptions.delete(own)
          subscription.close()
        },
      }
    },

    close() {
      for (const { subscription } of subscriptions) subscription.close()
      subscriptions.clear()
    },
  }
}

function parse(text: string): { ok: true; value: unknown } | { ok: false; problem: string } {
  try {
    return { ok: true, value: JSON.parse(text) }
  } catch {
    return { ok: false, problem: 'is not JSON' }
  }
}
