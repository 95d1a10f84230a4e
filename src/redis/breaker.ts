/**
 * A circuit breaker as pure transitions. Misses in a row open it; while it is open only probes are sent; a probe that
 * is answered closes it, one that is not leaves it open.
 */
export type Breaker =
  | { readonly state: 'closed'; readonly misses: number }
  | { readonly state: 'open' }
  | { readonly state: 'half-open' }

export const CLOSED: Breaker = { state: 'closed', misses: 0 }
const OPEN: Breaker = { state: 'open' }
const HALF_OPEN: Breaker = { state: 'half-open' }

/** A call was answered in time. */
export function onAnswer(breaker: Breaker): Breaker {
  // A straggler's answer while open proves nothing about now: only a probe closes.
  return breaker.state === 'closed' && breaker.misses > 0 ? CLOSED : breaker
}

/** A call missed its deadline or lost its connection. */
export function onMiss(breaker: Breaker, threshold: number): Breaker {
  if (breaker.state !== 'closed') return breaker
  const misses = breaker.misses + 1
  return misses >= threshold ? OPEN : { state: 'closed', misses }
}

/** A probe is being sent. */
export function onProbe(breaker: Breaker): Breaker {
  return breaker.state === 'open' ? HALF_OPEN : breaker
}

/** The probe's outcome. */
export function onProbeResult(breaker: Breaker, answered: boolean): Breaker {
  if (breaker.state === 'closed') return breaker
  return answered ? CLOSED : OPEN
}

/** A new connection starts unproved: open until its first probe is answered. */
export function onConnect(): Breaker {
  return OPEN
}
