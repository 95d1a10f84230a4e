import type { RateLimitDecision } from './decision.js'
import type { Policy } from './policy.js'

/** A caller known to be refused until then. */
export interface Refused {
  /** Redis is asked again from then on. */
  readonly until: number
  /** When trying again can succeed. */
  readonly freeAt: number
  readonly cost: number
  readonly policies: readonly Policy[]
  readonly decision: RateLimitDecision
  /** Refused from here since Redis was last asked. */
  repeated: number
  /** The refusal as it stands with so many seconds left. */
  current: RateLimitDecision | undefined
  second: number
}

/** A missed reset heals by itself within this time. */
const LONGEST_MS = 5000

/**
 * Refusals remembered, so that a blocked caller costs no round trip. Sound because a refused call records nothing: what
 * Redis said must pass will not grow. `now` is a monotonic clock in ms.
 */
export class DenyCache {
  readonly #refused = new Map<string, Refused>()
  readonly #max: number

  constructor(max: number) {
    this.#max = max
  }

  get size(): number {
    return this.#refused.size
  }

  find(key: string, policies: readonly Policy[], cost: number, now: number): Refused | undefined {
    const entry = this.#refused.get(key)
    if (entry === undefined || entry.until <= now) return undefined
    return entry.decision.blocked || (cost >= entry.cost && atMost(policies, entry.policies)) ? entry : undefined
  }

  /**
   * `askedAt` is from before the command was sent, so that the entry never outlives the refusal. Returns how many
   * refusals were answered from here since the last call.
   */
  add(key: string, policies: readonly Policy[], cost: number, decision: RateLimitDecision, askedAt: number): number {
    if (this.#max === 0) return 0
    const repeated = this.#refused.get(key)?.repeated ?? 0
    this.#refused.delete(key)
    if (this.#refused.size >= this.#max) this.#refused.delete(this.#refused.keys().next().value as string)
    const freeAt = askedAt + decision.retryAfterMs
    const until = Math.min(freeAt, askedAt + LONGEST_MS)
    this.#refused.set(key, { until, freeAt, cost, policies, decision, repeated: 0, current: undefined, second: -1 })
    return repeated
  }

  delete(key: string): void {
    this.#refused.delete(key)
  }

  clear(): void {
    this.#refused.clear()
  }
}

/** True where no policy is more generous than the one that refused. */
function atMost(policies: readonly Policy[], refused: readonly Policy[]): boolean {
  if (policies === refused) return true
  if (policies.length !== refused.length) return false
  return refused.every((before, index) => {
    const now = policies[index] as Policy
    return (
      now.name === before.name &&
      now.kind === before.kind &&
      now.windowMs === before.windowMs &&
      now.limit <= before.limit &&
      (now.cost ?? 0) >= (before.cost ?? 0)
    )
  })
}
