import type { FallbackReason, RedisManager } from '../redis/index.js'
import { keyFor, type Naming } from './caller.js'
import { type RateLimitDecision, undecided } from './decision.js'
import { DenyCache, type Refused } from './deny-cache.js'
import { type BlockRule, Engine } from './engine.js'
import type { LimitDecided } from './events.js'
import { MemoryLimiter } from './memory.js'
import type { Policy } from './policy.js'
import { listenForResets } from './resets.js'

export interface CoreOptions {
  readonly redis: RedisManager
  readonly name: string
  readonly naming: Naming
  /** Empty where they are found for each request. */
  readonly policies: readonly Policy[]
  /** `undefined` where it differs from call to call. */
  readonly cost: number | undefined
  readonly block: BlockRule
  /** Refusals are told of only. */
  readonly shadow: boolean
  readonly onUnavailable: 'allow' | 'memory' | 'deny'
  readonly instances: number
  /** Refusals remembered in this process. */
  readonly remembered: number
  /** Points may come back before the window says so: then only blocks are remembered. */
  readonly refunds: boolean
}

export interface Asked {
  /** The caller's key in Redis. */
  readonly key: string
  readonly policies: readonly Policy[]
  readonly cost: number
}

export interface Taken<Question extends Asked = Asked> {
  readonly asked: Question
  readonly decision: RateLimitDecision
  /** Refusals answered from memory since Redis was last asked about this caller. */
  readonly repeated: number
}

/** Decides with Redis, with what is remembered of it, and without it. */
export class Core {
  readonly engine: Engine
  readonly #options: CoreOptions
  readonly #denied: DenyCache
  readonly #memory: MemoryLimiter | undefined
  readonly #off: (() => void)[] = []
  #degraded = false
  #outages = 0
  #lastMissed = 0
  #listening: (() => void) | undefined

  constructor(options: CoreOptions) {
    const { redis, naming, policies, cost, block, onUnavailable, instances, remembered } = options
    this.#options = options
    const [policy = STAND_IN] = policies
    const usual = policies.length === 0 || cost === undefined ? undefined : { policies, cost }
    const keyOf = (id: string): string => keyFor(naming, { type: 'key', id })
    this.engine = new Engine({ redis, policy, usual, block, keyOf })
    this.#denied = new DenyCache(remembered)
    if (onUnavailable === 'memory') this.#memory = new MemoryLimiter(instances)
    const recovered = (): void => {
      this.#degraded = false
      this.#memory?.clear()
    }
    this.#off.push(
      redis.on('up', recovered),
      redis.on('recovered', recovered),
      redis.register({
        feature: 'rate-limit',
        name: options.name,
        status: () => ({
          status: this.#degraded ? 'warn' : 'pass',
          values: { decidedBy: this.#degraded ? onUnavailable : 'redis', remembered: this.#denied.size },
        }),
      }),
    )
  }

  /** Callers known to be refused. */
  get remembers(): number {
    return this.#denied.size
  }

  /** As {@link known}, for who may leave the answer to somebody else: it is not counted. */
  look({ key, policies, cost }: Asked): Refused | undefined {
    return this.#denied.size === 0 ? undefined : this.#denied.find(key, policies, cost, performance.now())
  }

  /** A refusal known without asking. Synchronous: this is all that a blocked caller costs. */
  known(asked: Asked): Refused | undefined {
    const refused = this.look(asked)
    if (refused === undefined) return undefined
    refused.repeated++
    this.tell(refused.decision.blocked ? 'blocked' : 'refused', 'local')
    return refused
  }

  take<Question extends Asked>(asked: Question): Promise<Taken<Question>> {
    const askedAt = performance.now()
    return this.engine.take(asked.key, asked.policies, asked.cost).then((reply) => {
      const decided = typeof reply !== 'string'
      const decision = decided ? this.engine.read(reply, asked.policies) : this.#without(asked, reply)
      const repeated = decided ? this.#learn(asked, decision, askedAt) : 0
      this.tell(decision.allowed ? 'allowed' : decision.blocked ? 'blocked' : 'refused', decision.source)
      return { asked, decision, repeated }
    })
  }

  async refund({ key, policies, cost }: Asked, charged: RateLimitDecision): Promise<void> {
    if (charged.source === 'memory') this.#memory?.refund(key, policies, cost, charged.at)
    else if (charged.source === 'redis') await this.engine.refund(key, policies, cost, charged.at)
  }

  /** The outcome of every request, for whoever counts them. */
  tell(outcome: LimitDecided['outcome'], source: LimitDecided['source']): void {
    const { redis, name, shadow } = this.#options
    if (redis.listens('limit.decided')) redis.emit('limit.decided', { limiter: name, outcome, source, shadow })
  }

  /** Forgets the caller here; the other processes hear of it through Redis. */
  forget(key: string): void {
    this.#denied.delete(key)
    this.#memory?.delete(key)
  }

  close(): void {
    for (const off of this.#off) off()
    this.#listening?.()
    this.#listening = undefined
    this.#denied.clear()
    this.#memory?.clear()
  }

  /** Remembers a refusal; how many were answered from memory since the last one. */
  #learn({ key, policies, cost }: Asked, decision: RateLimitDecision, askedAt: number): number {
    if (this.#degraded && performance.now() - this.#lastMissed > QUIET_MS) this.#degraded = false
    if (decision.allowed) {
      if (this.#denied.size > 0) this.#denied.delete(key)
      return 0
    }
    if (this.#options.refunds && !decision.blocked) return 0
    this.#listen()
    return this.#denied.add(key, policies, cost, decision, askedAt)
  }

  #without({ key, policies, cost }: Asked, reason: FallbackReason): RateLimitDecision {
    const { onUnavailable, block } = this.#options
    this.#lastMissed = performance.now()
    if (!this.#degraded) {
      this.#degraded = true
      this.#announce(reason)
    }
    if (this.#memory === undefined) return undecided(policies, onUnavailable === 'allow', reason, steadyNow())
    return { ...this.#memory.take(key, policies, cost, block.lengthMs, steadyNow()), reason }
  }

  #announce(reason: FallbackReason): void {
    const { redis, name, onUnavailable } = this.#options
    redis.emit('limit.degraded', { limiter: name, reason, onUnavailable })
    // The manager says each code once; outages are told one by one.
    redis.warn(
      `HOLDFAST_RATE_LIMIT_DEGRADED:${name}:${++this.#outages}`,
      `limiter "${name}" ${CONSEQUENCE[onUnavailable]} (${reason})`,
    )
  }

  #listen(): void {
    const { redis, name } = this.#options
    this.#listening ??= listenForResets(redis, name, (key) => {
      if (key === undefined) this.#denied.clear()
      else this.forget(key)
    })
  }
}

/** Single late answers, with the connection up all the while, are one outage until none has come for so long. */
const QUIET_MS = 60_000

/** Milliseconds since the epoch that no change of the clock moves back. */
function steadyNow(): number {
  return Math.floor(performance.timeOrigin + performance.now())
}

/** rate-limiter-flexible wants numbers of its own even where every request brings its policies. */
const STAND_IN: Policy = { name: 'computed', kind: 0, limit: 1, windowMs: 1000, quantumMs: 1, cost: undefined }

const CONSEQUENCE = {
  allow: 'counts nothing and lets every request pass until Redis answers',
  memory: 'counts in this process alone until Redis answers',
  deny: 'refuses every request with 503 until Redis answers',
} as const
