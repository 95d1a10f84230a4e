import { createQueue, type Queue, type QueueOptions } from '../../src/queue/index.js'
import { createRedisManager, type RedisManager, type RedisManagerOptions } from '../../src/redis/index.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'

const cleanUp: (() => unknown)[] = []
/** Runs after the test, last registered first. */
export const afterwards = (step: () => unknown): void => void cleanUp.push(step)

export async function cleanAll(): Promise<void> {
  for (const step of cleanUp.splice(0).reverse()) await step()
}

export async function aServer(args: readonly string[] = []): Promise<RedisServer> {
  const server = await startRedis({ args })
  afterwards(() => server.stop())
  return server
}

export interface Mail {
  readonly to: string
}

export interface Made<Data> {
  readonly redis: RedisManager
  readonly queue: Queue<Data>
  readonly lines: string[]
}

/** A process of its own, as far as Redis can tell. */
export async function join<Data = Mail>(
  at: string | RedisManagerOptions,
  options: Partial<QueueOptions<Data>> = {},
  name = 'mails',
): Promise<Made<Data>> {
  const lines: string[] = []
  const note = (line: string): void => void lines.push(line)
  const logger = { info: () => {}, warn: note, error: note }
  // Only where a test is about time is it short: this machine has other work.
  const redis = createRedisManager({ commandTimeout: 2000, ...(typeof at === 'string' ? { url: at } : at), logger })
  const queue = createQueue<Data>(name, { redis, backoff: { type: 'fixed', delay: 10 }, ...options })
  afterwards(async () => {
    await queue.close(100)
    await redis.close()
  })
  await redis.ready()
  return { redis, queue, lines }
}
