/** A point in time by both clocks: the monotonic one stands still while a machine sleeps, the other one can be set. */
export interface Instant {
  readonly monotonic: number
  readonly wall: number
}

export function instant(): Instant {
  return { monotonic: performance.now(), wall: Date.now() }
}

/** By whichever clock says more: to believe a lock lost too early is safe, too late is not. */
export function elapsed(since: Instant, now: Instant): number {
  return Math.max(now.monotonic - since.monotonic, now.wall - since.wall)
}

/** From when, and for how long, Redis has granted the lock. Begins before the request was sent, not at its reply. */
export interface Tenure {
  readonly from: Instant
  readonly ttl: number
}

/** Redis' clock may run a little faster than ours. */
export function drift(ttl: number): number {
  return Math.ceil(ttl / 100) + 2
}

/** Milliseconds for which the lock is certainly held; 0 or less: it may not be. */
export function remaining({ from, ttl }: Tenure, now: Instant): number {
  return ttl - drift(ttl) - elapsed(from, now)
}

/** The one that ends later. */
export function longer(left: Tenure, right: Tenure, now: Instant): Tenure {
  return remaining(right, now) > remaining(left, now) ? right : left
}

/**
 * The ttl of the next automatic extension, so that the lock is held for `maxHold` in all; undefined where that has
 * nothing to add.
 */
export function nextTtl(ttl: number, heldFor: number, maxHold: number, left: number): number | undefined {
  const allowed = Math.min(ttl, Math.floor(maxHold - heldFor))
  return allowed - drift(allowed) > left ? allowed : undefined
}
