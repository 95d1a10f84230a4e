/** What a stored value is good for now. */
export type Verdict =
  /** Serve it. */
  | 'fresh'
  /** Serve it and renew it in the background: it ends soon. */
  | 'early'
  /** Serve it and renew it in the background: it has ended, within `staleWhileRevalidate`. */
  | 'stale'
  /** Compute; serve it if that fails: it has ended, within `staleIfError`. */
  | 'rescue'
  | 'expired'

export interface Times {
  readonly createdAt: number
  readonly freshUntil: number
  readonly staleUntil: number
}

export interface FreshnessPolicy {
  /** Last part of the fresh time, from 0 to 1, in which a read renews. */
  readonly refreshAhead: number
  readonly staleWhileRevalidateMs: number
  readonly staleIfErrorMs: number
  /** Factor of XFetch, or 0 for none. */
  readonly xfetch: number
}

/**
 * `costMs` and `random` (from 0, exclusive, to 1) are for XFetch: the chance to renew grows towards the end, the sooner
 * the dearer the computation (Vattani, Chierichetti, Lowenstein: Optimal Probabilistic Cache Stampede Prevention, 2015).
 */
export function judge(
  times: Times,
  policy: FreshnessPolicy,
  now: number,
  costMs: number,
  random: () => number,
): Verdict {
  const { createdAt, freshUntil, staleUntil } = times
  const left = freshUntil - now
  if (left > 0) {
    if (left <= (freshUntil - createdAt) * policy.refreshAhead) return 'early'
    if (policy.xfetch > 0 && -costMs * policy.xfetch * Math.log(random()) >= left) return 'early'
    return 'fresh'
  }
  if (now >= staleUntil) return 'expired'
  if (-left < policy.staleWhileRevalidateMs) return 'stale'
  return -left < policy.staleIfErrorMs ? 'rescue' : 'expired'
}

/** When a value computed now ends. `jitter` shortens by up to that part, so that values made together do not end together. */
export function timesOf(
  ttlMs: number,
  { staleWhileRevalidateMs, staleIfErrorMs }: FreshnessPolicy,
  jitter: number,
  now: number,
  random: () => number,
): Times {
  const freshUntil = now + Math.max(1, ttlMs * (1 - jitter * random()))
  return { createdAt: now, freshUntil, staleUntil: freshUntil + Math.max(staleWhileRevalidateMs, staleIfErrorMs) }
}
