import { randomBytes } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import { RedisUnavailableError } from '../redis/index.js'
import { type Duration, toMs } from '../shared/duration.js'
import { checkOptions, requireOptions } from '../shared/options.js'
import { LockLostError, LockTimeoutError } from './errors.js'
import { createHold, type Hold, type HoldOptions, type Lock } from './hold.js'
import { Lines } from './line.js'
import { type AcquireOptions, aClaim, aKey, type Claim, type LocksOptions, locksRules } from './options.js'
import { createOrphans } from './orphans.js'
import { acquireScript } from './scripts.js'
import { elapsed, instant, remaining } from './tenure.js'
import { retryDelay } from './waiting.js'

/**
 * Locks over all processes that share a Redis. They fail closed: without Redis every acquisition rejects with
 * `RedisUnavailableError`, at once.
 *
 * A lock saves work from being done twice; it does not make that impossible. A process that stands still, a failover
 * that loses the last writes, or an evicted key can leave two holders for a while. Where that would do harm, let the
 * resource refuse old {@link Lock.fence} numbers.
 */
export interface Locks {
  /**
   * Waits for the lock. Rejects with `LockTimeoutError` where others hold it all the while, with
   * `RedisUnavailableError` as soon as Redis is away, with the signal's reason where it is aborted.
   */
  acquire(key: string, options?: Duration | AcquireOptions): Promise<Lock>
  /** Tries once; `undefined` where it is held by others. Rejects as {@link Locks.acquire} does. */
  tryAcquire(key: string, options?: Duration | Omit<AcquireOptions, 'wait'>): Promise<Lock | undefined>
  /**
   * Runs the section under the lock, extends it meanwhile, and releases it. The section is given the lock: stop when
   * its `signal` is aborted. Rejects as {@link Locks.acquire} does, with what the section throws, and with
   * `LockLostError` where the section ended after the lock was lost: it may not have been alone.
   */
  withLock<T>(key: string, options: Duration | AcquireOptions, section: (lock: Lock) => T | Promise<T>): Promise<T>
  /** Gives up all waiting, releases what this object's callers hold, and aborts their signals. Idempotent. */
  close(): Promise<void>
}

/** The gate has it already. */
function ignore(): void {}

/**
 * Makes the locks of one application. Throws a `ConfigurationError` for options out of their range.
 *
 * @example
 * ```ts
 * import { createLocks, createRedisManager } from 'holdfast'
 *
 * const redis = createRedisManager()
 * const locks = createLocks({ redis })
 * await locks.withLock('invoices:2026-11', { ttl: '10s', wait: '2s' }, async ({ signal, fence }) => {
 *   await fetch('https://billing.example/run', { method: 'POST', signal, headers: { 'X-Fence': String(fence) } })
 * })
 * ```
 */
export function createLocks(options: LocksOptions): Locks {
  checkOptions('createLocks', options, locksRules)
  requireOptions('createLocks', options, locksRules, 'redis')
  const { redis, ttl = '10s', wait = '5s', maxHold = '5m' } = options
  const single = { ttl: toMs(ttl), wait: toMs(wait), maxHold: 0 }
  const extended = { ...single, maxHold: toMs(maxHold) }
  const orphans = createOrphans(redis)
  const lines = new Lines()
  const holds = new Set<Hold>()
  const owner = `${randomBytes(15).toString('base64url')}.`
  const closing = new AbortController()
  setMaxListeners(0, closing.signal)
  let tokens = 0
  let closed: Promise<void> | undefined

  /** One attempt: the lock, or how long the first of its holders has left. */
  async function attempt(key: string, claim: Claim): Promise<Hold | number> {
    const slot = redis.keys.slot(key)
    const holdersKey = redis.keys.key('lock', slot, 'holders')
    const fenceKey = redis.keys.key('lock', slot, 'fence')
    const token = `${owner}${(tokens++).toString(36)}`
    const since = instant()
    let abandoned = false
    let mayHold = false
    try {
      const [fence, freeInMs] = await redis.execute('lock.acquire', (client) => {
        mayHold = true
        const reply = acquireScript.run(client, [holdersKey, fenceKey], [token, claim.ttl, claim.holders])
        // After NOSCRIPT the script is sent again, which may be later than the release that the deadline has caused.
        void reply.then(([late]) => {
          if (abandoned && late !== null) void orphans.disown(holdersKey, token)
        }, ignore)
        return reply
      })
      mayHold = fence !== null
      if (fence === null) return freeInMs
      const unwanted = closing.signal.aborted || claim.signal?.aborted === true
      if (unwanted || remaining({ from: since, ttl: claim.ttl }, instant()) <= 0) return 0
      mayHold = false
      return enter({ redis, orphans, key, holdersKey, token, fence: Number(fence), claim, since })
    } finally {
      abandoned = true
      if (mayHold) void orphans.disown(holdersKey, token)
    }
  }

  function enter(held: Omit<HoldOptions, 'onEnd' | 'onFree'>): Hold {
    const hold = createHold({ ...held, onEnd: (ended) => holds.delete(ended), onFree: () => lines.ring(held.key) })
    if (hold.held) holds.add(hold)
    return hold
  }

  async function seek(key: string, claim: Claim): Promise<Hold | undefined> {
    const since = instant()
    const waited = (): number => elapsed(since, instant())
    const place = lines.join(key)
    let decided = false
    const give = (delay: number): Promise<void> =>
      place.wait(delay, Math.max(claim.wait - waited(), 0), [claim.signal, closing.signal])
    try {
      // Without Redis there is nothing to wait for: everybody is told at once.
      if (!place.first && claim.wait > 0 && redis.available) await give(claim.wait)
      for (let tries = 0; ; tries++) {
        refuse(claim.signal)
        const found = await attempt(key, claim)
        refuse(claim.signal)
        const waitedMs = waited()
        decided = typeof found === 'object' || waitedMs >= claim.wait
        if (typeof found === 'object') {
          if (redis.listens('lock')) redis.emit('lock', { outcome: 'acquired', key, fence: found.fence, waitedMs })
          return found
        }
        if (decided) {
          if (redis.listens('lock')) redis.emit('lock', { outcome: 'timeout', key, waitedMs })
          return undefined
        }
        await give(retryDelay(tries, found))
      }
    } finally {
      place.leave()
      const givenUp = closing.signal.aborted || claim.signal?.aborted === true
      if (!decided && !givenUp && redis.listens('lock')) {
        redis.emit('lock', { outcome: 'failed', key, waitedMs: waited() })
      }
    }
  }

  async function insist(key: string, claim: Claim): Promise<Hold> {
    const since = instant()
    const hold = await seek(key, claim)
    if (hold === undefined) throw new LockTimeoutError(elapsed(since, instant()))
    return hold
  }

  function refuse(signal: AbortSignal | undefined): void {
    if (closing.signal.aborted) throw new RedisUnavailableError('lock.acquire', 'closed')
    signal?.throwIfAborted()
  }

  async function run<T>(hold: Hold, section: (lock: Lock) => T | Promise<T>): Promise<T> {
    const [result] = await Promise.allSettled([(async () => section(hold))()])
    const ending = await hold.end()
    if (result.status === 'rejected') throw result.reason
    if (ending instanceof LockLostError) throw ending
    return result.value
  }

  return {
    acquire: async (key, given = {}) => insist(aKey(key), aClaim(given, single)),
    tryAcquire: async (key, given = {}) => seek(aKey(key), { ...aClaim(given, single), wait: 0 }),
    async withLock(key, given, section) {
      const claim = aClaim(given, extended)
      const hold = await insist(aKey(key), claim)
      if (claim.signal !== undefined) hold.follow(claim.signal)
      return run(hold, section)
    },
    close() {
      closed ??= close()
      return closed
    },
  }

  async function close(): Promise<void> {
    closing.abort()
    await Promise.all([...holds].map((hold) => hold.lose('closed')))
    orphans.close()
  }
}
