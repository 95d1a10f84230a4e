import type { RateLimitDecision } from './decision.js'
import { isTighter, RateLimitInfo } from './info.js'

/** A limiter that a request has passed. */
export interface Passed {
  readonly owner: object
  readonly key: string
  /** It was given no name: another one of the same key is the same limiter. */
  readonly unnamed: boolean
}

const passed: unique symbol = Symbol('holdfast.rate-limit.passed')

interface Marked {
  rateLimit?: RateLimitInfo
  [passed]?: Passed[]
}

/** Mounted twice, a limiter decides once. */
export function hasPassed(req: object, owner: object): boolean {
  return (req as Marked)[passed]?.some((it) => it.owner === owner) === true
}

export function hasPassedUnnamed(req: object, key: string): boolean {
  return (req as Marked)[passed]?.some((it) => it.unnamed && it.key === key) === true
}

export function pass(req: object, it: Passed): void {
  const marked = req as Marked
  const list = marked[passed]
  if (list === undefined) marked[passed] = [it]
  else list.push(it)
}

/** Puts the decision on the request where it is the tightest so far, and says whether it is. */
export function note(req: object, limiter: string, decision: RateLimitDecision): boolean {
  const marked = req as Marked
  const before = marked.rateLimit
  if (before instanceof RateLimitInfo && !isTighter(decision, before.decision)) return false
  marked.rateLimit = new RateLimitInfo(limiter, decision)
  return true
}
