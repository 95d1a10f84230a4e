import type { RateLimitDecision } from './decision.js'

/**
 * `req.rateLimit`: the decision, and beside it the view that users of express-rate-limit know (`limit`, `used`,
 * `remaining`, `resetTime`), taken from the tightest policy. With several limiters on one request, the tightest of all.
 */
export class RateLimitInfo {
  /** Name of the limiter. */
  readonly limiter: string
  readonly decision: RateLimitDecision

  constructor(limiter: string, decision: RateLimitDecision) {
    this.limiter = limiter
    this.decision = decision
  }

  get allowed(): boolean {
    return this.decision.allowed
  }

  get limit(): number {
    return this.decision.tightest.limit
  }

  get used(): number {
    return this.decision.tightest.used
  }

  get remaining(): number {
    return this.decision.tightest.remaining
  }

  /** When any used point is free again. */
  get resetTime(): Date {
    return new Date(this.decision.at + this.decision.tightest.resetMs)
  }

  /** Redis did not decide. */
  get degraded(): boolean {
    return this.decision.degraded
  }
}

/** True where `left` leaves less than `right`. */
export function isTighter(left: RateLimitDecision, right: RateLimitDecision): boolean {
  if (left.allowed !== right.allowed) return !left.allowed
  return left.tightest.remaining / left.tightest.limit < right.tightest.remaining / right.tightest.limit
}
