import type { RedisManager } from '../redis/index.js'
import type { Duration } from '../shared/duration.js'
import { type LockLossReason, LockLostError } from './errors.js'
import { aTtlOf, type Claim } from './options.js'
import type { Orphans } from './orphans.js'
import { extendScript, releaseScript } from './scripts.js'
import { drift, elapsed, type Instant, instant, longer, nextTtl, remaining, type Tenure } from './tenure.js'

/** A lock that was acquired. */
export interface Lock {
  readonly key: string
  /**
   * Grows with every acquisition of the key, also over restarts of Redis. Send it along with what you write, and let
   * the storage refuse a fence smaller than the greatest it has seen: that stops a holder that does not know yet that
   * it is none.
   */
  readonly fence: number
  /** Aborted, with a {@link LockLostError} as its reason, as soon as the lock is not certainly held any more. */
  readonly signal: AbortSignal
  /** Whether the lock is certainly held now. Reads the clocks, so it is right even before `signal` could be aborted. */
  readonly held: boolean
  /** Milliseconds for which it is certainly held, if nothing extends it; 0 once it is not. */
  readonly remainingMs: number
  /** Throws {@link LockLostError} unless {@link Lock.held}. Call it before each effect that cannot be undone. */
  assertHeld(): void
  /**
   * Grants the lock for `ttl` from now, never for less than it has. Rejects with {@link LockLostError} where it is
   * lost, with `RedisUnavailableError` where Redis cannot tell: it is then held for the time it had.
   */
  extend(ttl?: Duration): Promise<void>
  /**
   * Lets others in. Never rejects: without Redis the lock is released when Redis returns, or expires. True where Redis
   * confirms that it was held until now.
   */
  release(): Promise<boolean>
}

/** How the holding ended. `unknown`: Redis did not answer the release; within its time the lock was held. */
export type Ending = 'released' | 'unknown' | LockLostError

/** A lock, and what only its makers may do with it. */
export interface Hold extends Lock {
  end(): Promise<Ending>
  lose(reason: LockLossReason): Promise<void>
  follow(signal: AbortSignal): void
}

export interface HoldOptions {
  readonly redis: RedisManager
  readonly orphans: Orphans
  readonly key: string
  readonly holdersKey: string
  readonly token: string
  readonly fence: number
  readonly claim: Claim
  /** From before the acquisition was sent. */
  readonly since: Instant
  readonly onEnd: (hold: Hold) => void
  /** The token is gone from Redis, as far as can be told: others of this process may try. */
  readonly onFree: () => void
}

/** So that a third of the time has passed at the first attempt, and several more fit in. */
const EXTEND_AT = 1 / 3
const RETRY_AT = 1 / 10

export function createHold(options: HoldOptions): Hold {
  const { redis, orphans, key, holdersKey, token, fence, claim, since, onEnd, onFree } = options
  // Made for those who ask: it is the dearest part of a hold.
  let controller: AbortController | undefined
  let aborted: { readonly reason: unknown } | undefined
  let tenure: Tenure = { from: since, ttl: claim.ttl }
  let ended: LockLossReason | undefined
  let extendAfter = claim.ttl * EXTEND_AT
  let extending = false
  let timer: NodeJS.Timeout | undefined
  let unfollow = (): void => {}

  const heldMs = (): number => elapsed(since, instant())
  const left = (): number => (ended === undefined ? remaining(tenure, instant()) : 0)
  const automaticTtl = (): number | undefined => nextTtl(claim.ttl, heldMs(), claim.maxHold, left())

  function stop(reason: LockLossReason): void {
    ended = reason
    clearTimeout(timer)
    unfollow()
    onEnd(hold)
  }

  function abort(reason: unknown): void {
    aborted ??= { reason }
    controller?.abort(reason)
  }

  async function lose(reason: LockLossReason): Promise<void> {
    if (ended !== undefined) return
    stop(reason)
    if (redis.listens('lock')) redis.emit('lock', { outcome: 'lost', key, fence, heldMs: heldMs(), reason })
    abort(new LockLostError(reason))
    await orphans.disown(holdersKey, token)
    onFree()
  }

  /** After a standstill the timer may not have had its turn yet: whoever asks finds out. */
  function check(): boolean {
    if (ended === undefined && left() <= 0) {
      const exhausted = claim.maxHold > 0 && heldMs() + 2 * drift(claim.ttl) >= claim.maxHold
      void lose(exhausted ? 'max-hold' : 'expired')
    }
    return ended === undefined
  }

  function watch(): void {
    clearTimeout(timer)
    if (!check()) return
    const untilExtension = extending || automaticTtl() === undefined ? Number.POSITIVE_INFINITY : extendAfter
    timer = setTimeout(wake, Math.max(Math.min(left(), untilExtension), 1))
    timer.unref()
  }

  function wake(): void {
    if (!check()) return
    const ttl = extending ? undefined : automaticTtl()
    if (ttl !== undefined) void extendByItself(ttl)
    watch()
  }

  function prolong(from: Instant, ttl: number): void {
    tenure = longer(tenure, { from, ttl }, instant())
    if (redis.listens('lock')) redis.emit('lock', { outcome: 'extended', key, fence, ttl })
  }

  async function extendByItself(ttl: number): Promise<void> {
    extending = true
    const from = instant()
    const reply = await redis.attempt<number | undefined>(
      'lock.extend',
      (client) => extendScript.run(client, [holdersKey], [token, ttl]),
      () => undefined,
    )
    extending = false
    if (reply === 0) return void lose('gone')
    if (reply === 1) prolong(from, ttl)
    extendAfter = claim.ttl * (reply === 1 ? EXTEND_AT : RETRY_AT)
    watch()
  }

  async function end(): Promise<Ending> {
    if (!check()) return ended === 'released' ? 'released' : loss()
    stop('released')
    const reply = await redis.attempt<number | undefined>(
      'lock.release',
      (client) => releaseScript.run(client, [holdersKey], [token]),
      () => undefined,
    )
    if (reply !== undefined) onFree()
    if (reply === 0) {
      ended = 'gone'
      if (redis.listens('lock')) redis.emit('lock', { outcome: 'lost', key, fence, heldMs: heldMs(), reason: 'gone' })
      return loss()
    }
    if (reply === undefined) void orphans.disown(holdersKey, token)
    if (redis.listens('lock')) redis.emit('lock', { outcome: 'released', key, fence, heldMs: heldMs() })
    return reply === undefined ? 'unknown' : 'released'
  }

  function loss(): LockLostError {
    return new LockLostError(ended as LockLossReason)
  }

  const hold: Hold = {
    key,
    fence,
    get signal() {
      if (controller === undefined) {
        controller = new AbortController()
        if (aborted !== undefined) controller.abort(aborted.reason)
      }
      return controller.signal
    },
    get held() {
      return check()
    },
    get remainingMs() {
      return check() ? left() : 0
    },
    assertHeld() {
      if (!check()) throw loss()
    },
    async extend(given = claim.ttl) {
      const ttl = aTtlOf(given)
      if (!check()) throw loss()
      const from = instant()
      const reply = await redis.execute('lock.extend', (client) => extendScript.run(client, [holdersKey], [token, ttl]))
      if (reply === 1) prolong(from, ttl)
      else void lose('gone')
      if (!check()) throw loss()
      watch()
    },
    release: async () => check() && (await end()) === 'released',
    end,
    lose,
    follow(signal) {
      const pass = (): void => abort(signal.reason)
      signal.addEventListener('abort', pass, { once: true })
      unfollow = () => signal.removeEventListener('abort', pass)
      if (signal.aborted) pass()
    },
  }
  watch()
  return hold
}
