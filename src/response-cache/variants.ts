import { defineScript, type RedisManager } from '../redis/index.js'

/**
 * KEYS[1] variants of one resource by when each was stored last, ARGV a variant, how many are kept, ms that it lives.
 * Replies with those that are too many, the oldest.
 */
const addScript: ReturnType<typeof defineScript<string[]>> = defineScript<string[]>({
  name: 'responses.variant',
  lua: `
local time = redis.call('TIME')
redis.call('ZADD', KEYS[1], time[1] * 1000000 + time[2], ARGV[1])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
local over = redis.call('ZCARD', KEYS[1]) - tonumber(ARGV[2])
if over <= 0 then return {} end
local oldest = redis.call('ZRANGE', KEYS[1], 0, over - 1)
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, over - 1)
return oldest`,
})

export interface VariantsOptions {
  readonly redis: RedisManager
  readonly namespace: string
  /** Per resource. */
  readonly max: number
  /** The key in Redis of a variant's entry. */
  readonly entryKey: (variant: string) => string
}

/** Bounds what a client can have stored under one URL by making up values of a header that responses vary by. */
export class Variants {
  readonly #options: VariantsOptions

  constructor(options: VariantsOptions) {
    this.#options = options
  }

  /** Call once a variant has been stored. */
  async add(resource: string, variant: string, lifeMs: number): Promise<void> {
    const { redis, namespace, max, entryKey } = this.#options
    const key = redis.keys.key('responses-variants', namespace, redis.keys.slot(resource))
    await redis.attempt(
      'responses.variant',
      async (client) => {
        const surplus = await addScript.run(client, [key], [variant, max, Math.max(1, Math.ceil(lifeMs))])
        await Promise.all(surplus.map((each) => client.unlink(entryKey(each))))
      },
      () => undefined,
    )
  }
}
