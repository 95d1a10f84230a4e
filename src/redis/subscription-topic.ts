import slotOf from 'cluster-key-slot'
import type { Redis } from 'ioredis'

/** What is subscribed to: one channel, every channel that a glob pattern matches, or one channel of a Cluster's shard. */
export type SubscriptionKind = 'channel' | 'pattern' | 'shard'

/** What is wanted, confirmed and refused is told apart by kind and name. */
export type Topic = `${SubscriptionKind} ${string}`

/** Names per command: thousands one by one would take as many round trips after each reconnect. */
const BATCH = 500

const COMMANDS = {
  channel: { add: 'subscribe', remove: 'unsubscribe' },
  pattern: { add: 'psubscribe', remove: 'punsubscribe' },
  shard: { add: 'ssubscribe', remove: 'sunsubscribe' },
} as const

/** `topics` fit into one command. */
export async function send(connection: Redis, what: 'add' | 'remove', topics: readonly Topic[]): Promise<void> {
  await connection[COMMANDS[kindOf(topics[0] as Topic)][what]](...topics.map(nameOf))
}

/** Topics that fit into one command each: of one kind, and shard channels of one slot. */
export function commandsFor(topics: readonly Topic[]): Topic[][] {
  const groups = new Map<string, Topic[]>()
  const full: Topic[][] = []
  for (const topic of topics) {
    const kind = kindOf(topic)
    const place = kind === 'shard' ? String(slotOf(nameOf(topic))) : kind
    const group = groups.get(place) ?? []
    group.push(topic)
    groups.set(place, group)
    if (group.length < BATCH) continue
    full.push(group)
    groups.delete(place)
  }
  return [...full, ...groups.values()]
}

/** False for a shard channel that the server has taken back since: ioredis notes it and does not say which it was. */
export function stillHeld(connection: Redis, topic: Topic): boolean {
  if (kindOf(topic) !== 'shard') return true
  const { subscriber } = (connection as unknown as { condition: { subscriber: false | Subscribed } }).condition
  return subscriber !== false && subscriber.set.ssubscribe[nameOf(topic)] === true
}

interface Subscribed {
  readonly set: { readonly ssubscribe: Readonly<Record<string, boolean>> }
}

function kindOf(topic: Topic): SubscriptionKind {
  return topic.slice(0, topic.indexOf(' ')) as SubscriptionKind
}

function nameOf(topic: Topic): string {
  return topic.slice(topic.indexOf(' ') + 1)
}
