import type { RateLimitDecision } from './decision.js'

/** What a limiter leaves on a request it has decided about. */
export interface Passed {
  readonly owner: object
  readonly key: string
  /** Its limiter was given no name: another one of the same key is the same limiter. */
  readonly unnamed: boolean
}

/**
 * `req.rateLimit`: the decision, and beside it the view that users of express-rate-limit know (`limit`, `used`,
 * `remaining`, `resetTime`), taken from the tightest policy. With several limiters on one request, the tightest of all.
 */
export interface RateLimitInfo {
  /** Name of the limiter. */
  readonly limiter: string
  readonly decision: RateLimitDecision
  readonly allowed: boolean
  readonly limit: number
  readonly used: number
  readonly remaining: number
  /** When any used point is free again. */
  readonly resetTime: Date
  /** Redis did not decide. */
  readonly degraded: boolean
}

/** Reads from the decision on demand: few handlers look. */
export class InfoOnRequest implements RateLimitInfo {
  readonly limiter: string
  readonly decision: RateLimitDecision
  readonly #passed: Passed
  /** The next less tight one. On the request is one property only: another one costs more than all of this. */
  #next: InfoOnRequest | undefined

  constructor(limiter: string, decision: RateLimitDecision, passed: Passed) {
    this.limiter = limiter
    this.decision = decision
    this.#passed = passed
    this.#next = undefined
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

  get resetTime(): Date {
    return new Date(this.decision.at + this.decision.tightest.resetMs)
  }

  get degraded(): boolean {
    return this.decision.degraded
  }

  /** Whether the limiter has decided about the request, or one that is the same. */
  static has({ rateLimit }: Marked, owner: object, unnamedKey?: string): boolean {
    let info = rateLimit instanceof InfoOnRequest ? rateLimit : undefined
    for (; info !== undefined; info = info.#next) {
      const passed = info.#passed
      if (passed.owner === owner || (passed.unnamed && passed.key === unnamedKey)) return true
    }
    return false
  }

  /** Whether the limiter has refused the request, and no other one has decided about it. */
  static isOnly({ rateLimit }: Marked, owner: object): boolean {
    return (
      rateLimit instanceof InfoOnRequest &&
      rateLimit.#passed.owner === owner &&
      rateLimit.#next === undefined &&
      !rateLimit.allowed
    )
  }

  /** Puts the decision on the request where it is the tightest so far, and says whether it is. */
  static note(req: Marked, info: InfoOnRequest): boolean {
    const before = req.rateLimit
    if (before instanceof InfoOnRequest && !isTighter(info.decision, before.decision)) {
      info.#next = before.#next
      before.#next = info
      return false
    }
    if (before instanceof InfoOnRequest) info.#next = before
    req.rateLimit = info
    return true
  }
}

/** A request as limiters leave it to each other. */
export interface Marked {
  rateLimit?: unknown
}

/** True where `left` leaves less than `right`. */
function isTighter(left: RateLimitDecision, right: RateLimitDecision): boolean {
  if (left.allowed !== right.allowed) return !left.allowed
  return left.tightest.remaining / left.tightest.limit < right.tightest.remaining / right.tightest.limit
}
