import { randomBytes } from 'node:crypto'
import { defineScript, type RedisManager } from '../redis/index.js'

/** Ownership of one duty of the fleet, for a time. */
export interface Lease {
  /** Takes the lease or extends it; false where another process has it or Redis is away. Never rejects. */
  claim(): Promise<boolean>
  /** True until the time for which the last claim is certain has passed, by this process' own clock. */
  readonly held: boolean
  /** Gives it up, so that another process need not wait. Never rejects. */
  release(): Promise<void>
}

// KEYS[1] lease, ARGV[1] our token, ARGV[2] TTL in ms; replies 1 where it is ours now
const claimScript = defineScript<number>({
  name: 'lease.claim',
  lua: `
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`,
})

// KEYS[1] lease, ARGV[1] our token
const releaseScript = defineScript<number>({
  name: 'lease.release',
  lua: `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`,
})

/**
 * Elects one process. Not a lock: duties under it must bear running twice for a moment, as when a process sleeps through
 * the end of its lease.
 */
export function createLease(redis: RedisManager, feature: string, name: string, ttlMs: number): Lease {
  const key = redis.keys.key(feature, 'lease', name)
  const token = randomBytes(12).toString('base64url')
  let until = 0
  return {
    get held() {
      return performance.now() < until
    },
    async claim() {
      // Counted from before the command is sent: our view of the lease ends before Redis' own.
      const started = performance.now()
      const mine = await redis.attempt(
        `${feature}.lease`,
        (client) => claimScript.run(client, [key], [token, ttlMs]),
        () => undefined,
      )
      // No answer leaves what was known standing: the lease lasts until its time is over.
      if (mine !== undefined) until = mine === 1 ? started + ttlMs : 0
      return this.held
    },
    async release() {
      if (!this.held) return
      until = 0
      await redis.attempt(
        `${feature}.lease`,
        (client) => releaseScript.run(client, [key], [token]),
        () => 0,
      )
    },
  }
}
