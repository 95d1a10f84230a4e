import { randomBytes } from 'node:crypto'
import { defineScript, type FallbackReason, type RedisManager, type Script } from '../../redis/index.js'

/**
 * KEYS[1] leases of a caller, scored by when they end · ARGV[1] lease · ARGV[2] limit · ARGV[3] length (ms)
 * Reply: 1 granted, 0 refused · leases now
 */
const acquireScript: Script<number[]> = defineScript({
  name: 'concurrency.acquire',
  lua: `
local T = redis.call('TIME')
local now = T[1] * 1000 + math.floor(T[2] / 1000)
local key, limit, length = KEYS[1], tonumber(ARGV[2]), tonumber(ARGV[3])
redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
local held = redis.call('ZCARD', key)
if held >= limit then return { 0, held } end
redis.call('ZADD', key, now + length, ARGV[1])
redis.call('PEXPIRE', key, length)
return { 1, held + 1 }
`,
})

/** KEYS[1] leases · ARGV[1] lease · ARGV[2] length (ms). Only a lease that is still held grows. */
const renewScript: Script<number> = defineScript({
  name: 'concurrency.renew',
  lua: `
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
local T = redis.call('TIME')
redis.call('ZADD', KEYS[1], T[1] * 1000 + math.floor(T[2] / 1000) + tonumber(ARGV[2]), ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
`,
})

export interface Grant {
  readonly granted: boolean
  readonly held: number
  /** Why Redis did not decide. */
  readonly reason?: FallbackReason
}

/** Leases of this process on slots of callers: renewed while held, so that only a dead process loses them. */
export class Leases {
  readonly #redis: RedisManager
  readonly #lengthMs: number
  readonly #held = new Map<string, string>()
  #renewal: NodeJS.Timeout | undefined

  constructor(redis: RedisManager, lengthMs: number) {
    this.#redis = redis
    this.#lengthMs = lengthMs
  }

  acquire(key: string, limit: number, lease: string, fallback: (reason: FallbackReason) => Grant): Promise<Grant> {
    // Remembered before it is asked for: an answer that comes too late must still be given back.
    this.#hold(lease, key)
    return this.#redis
      .attempt<Grant>(
        'concurrency.acquire',
        async (client) => {
          const [granted, held = 0] = await acquireScript.run(client, [key], [lease, limit, this.#lengthMs])
          return { granted: granted === 1, held }
        },
        fallback,
      )
      .then((grant) => {
        if (!grant.granted && grant.reason === undefined) this.#drop(lease)
        return grant
      })
  }

  /** Where Redis is away the lease ends by itself. */
  async release(lease: string): Promise<void> {
    const key = this.#held.get(lease)
    if (key === undefined) return
    this.#drop(lease)
    await this.#redis.attempt(
      'concurrency.release',
      (client) => client.zrem(key, lease),
      () => 0,
    )
  }

  #drop(lease: string): void {
    this.#held.delete(lease)
    if (this.#held.size > 0) return
    clearInterval(this.#renewal)
    this.#renewal = undefined
  }

  #hold(lease: string, key: string): void {
    this.#held.set(lease, key)
    if (this.#renewal !== undefined) return
    this.#renewal = setInterval(() => this.#renew(), this.#lengthMs / 3)
    this.#renewal.unref()
  }

  #renew(): void {
    for (const [lease, key] of this.#held) {
      void this.#redis.attempt(
        'concurrency.renew',
        (client) => renewScript.run(client, [key], [lease, this.#lengthMs]),
        () => 0,
      )
    }
  }
}

export function newLease(): string {
  return randomBytes(12).toString('base64url')
}
