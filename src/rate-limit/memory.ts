import { conclude, type RateLimitDecision, stateOf } from './decision.js'
import { Log } from './log.js'
import type { Policy } from './policy.js'

interface Caller {
  readonly logs: Map<string, Log>
  blockedUntil: number
}

/** Callers remembered per limiter and process. */
const MAX_CALLERS = 20_000
/** How many of the oldest callers are looked at for one that is not refused, before one that is has to go. */
const LOOKED_AT = 16

/** Stands in for Redis: the same algorithms, for this process alone, bounded, forgotten on recovery. */
export class MemoryLimiter {
  readonly #callers = new Map<string, Caller>()
  readonly #instances: number
  readonly #max: number

  /** `instances` processes share each limit. */
  constructor(instances: number, max: number = MAX_CALLERS) {
    this.#instances = instances
    this.#max = max
  }

  get size(): number {
    return this.#callers.size
  }

  take(key: string, given: readonly Policy[], cost: number, blockMs: number, now: number): RateLimitDecision {
    const policies = this.#shared(given)
    const caller = this.#caller(key, policies, now)
    const looks = policies.map((policy) => logOf(caller, policy).look(policy, policy.cost ?? cost, now))
    const fits = looks.every(({ wait }) => wait === 0)
    if (caller.blockedUntil <= now && !fits && blockMs > 0) {
      caller.blockedUntil = now + Math.max(blockMs, ...looks.map(({ wait }) => wait))
    }
    const blocked = caller.blockedUntil > now
    const allowed = fits && !blocked
    const states = policies.map((policy, index) => {
      const log = logOf(caller, policy)
      if (allowed) log.charge(policy, policy.cost ?? cost, now)
      const after = allowed ? log.look(policy, 0, now) : looks[index]
      return stateOf(policy, after?.used ?? 0, looks[index]?.wait ?? 0, after?.free ?? 0)
    })
    return conclude(allowed, blocked, caller.blockedUntil - now, states, 'memory', now)
  }

  refund(key: string, policies: readonly Policy[], cost: number, at: number): void {
    const caller = this.#callers.get(key)
    if (caller === undefined) return
    for (const policy of this.#shared(policies)) logOf(caller, policy).refund(policy, policy.cost ?? cost, at)
  }

  delete(key: string): void {
    this.#callers.delete(key)
  }

  clear(): void {
    this.#callers.clear()
  }

  #shared(policies: readonly Policy[]): readonly Policy[] {
    if (this.#instances === 1) return policies
    return policies.map((policy) => ({ ...policy, limit: Math.max(1, Math.floor(policy.limit / this.#instances)) }))
  }

  #caller(key: string, policies: readonly Policy[], now: number): Caller {
    const known = this.#callers.get(key)
    if (known !== undefined) {
      this.#callers.delete(key)
      this.#callers.set(key, known)
      return known
    }
    if (this.#callers.size >= this.#max) this.#evict(policies, now)
    const fresh: Caller = { logs: new Map(), blockedUntil: 0 }
    this.#callers.set(key, fresh)
    return fresh
  }

  /** Strangers must not push out those who are being refused: that would lift their refusal. */
  #evict(policies: readonly Policy[], now: number): void {
    let victim: string | undefined
    let looked = 0
    for (const [key, caller] of this.#callers) {
      victim ??= key
      const refused =
        caller.blockedUntil > now || policies.some((policy) => logOf(caller, policy).look(policy, 1, now).wait > 0)
      if (!refused) {
        victim = key
        break
      }
      if (++looked === LOOKED_AT) break
    }
    if (victim !== undefined) this.#callers.delete(victim)
  }
}

function logOf(caller: Caller, policy: Policy): Log {
  const id = `${policy.kind}:${policy.windowMs}:${policy.quantumMs}:${policy.name}`
  let log = caller.logs.get(id)
  if (log === undefined) {
    log = new Log()
    caller.logs.set(id, log)
  }
  return log
}
