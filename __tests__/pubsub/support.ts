import { createPubSub, type PubSub, type PubSubOptions } from '../../src/pubsub/index.js'
import { createRedisManager, type RedisManager } from '../../src/redis/index.js'

const cleanUp: (() => unknown)[] = []

export interface Member {
  readonly redis: RedisManager
  readonly bus: PubSub
  readonly logged: string[]
}

/** A process of its own, as far as Redis can tell: its own manager and bus. */
export async function join(url: string, options: Partial<PubSubOptions> = {}, commandTimeout = 2000): Promise<Member> {
  const logged: string[] = []
  const note = (line: string): void => void logged.push(line)
  const redis = createRedisManager({ url, commandTimeout, logger: { info: () => {}, warn: note, error: note } })
  const bus = createPubSub({ redis, ...options })
  cleanUp.push(() => redis.close())
  await redis.ready()
  return { redis, bus, logged }
}

export async function closeAll(): Promise<void> {
  await Promise.all(cleanUp.splice(0).map((step) => step()))
}
