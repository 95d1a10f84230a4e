import { RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible'
import type { FallbackReason, RedisManager, Script, ScriptArgument } from '../redis/index.js'
import { decisionOf, type RateLimitDecision } from './decision.js'
import type { Policy } from './policy.js'
import { foundForeignBytes, inFull } from './reply.js'
import { decideScript, decideScriptFor } from './script.js'

/** What a refusal starts besides refusing. All zero: nothing. */
export interface BlockRule {
  readonly lengthMs: number
  readonly growth: number
  readonly longestMs: number
  readonly rememberMs: number
}

export const NO_BLOCK: BlockRule = { lengthMs: 0, growth: 1, longestMs: 0, rememberMs: 0 }

export interface EngineOptions {
  readonly redis: RedisManager
  /** The policy that rate-limiter-flexible's own methods go by. */
  readonly policy: Policy
  /** What every request is asked for, where all are asked for the same. */
  readonly usual?: Usual | undefined
  readonly block: BlockRule
  readonly keyOf: (key: string) => string
}

export interface Usual {
  readonly policies: readonly Policy[]
  readonly cost: number
}

const NO_ARGUMENTS: readonly string[] = []

type Operation = 'take' | 'peek' | 'charge' | 'refund' | 'block'

/**
 * rate-limiter-flexible's Redis limiter with the storage replaced: one script for all policies of a caller, through the
 * manager's gate. What is inherited (`consume`, `get`, `penalty`, `reward`, `block`, `delete`, `insuranceLimiter`) keeps
 * working, so that whatever accepts one of its limiters (`RateLimiterQueue`, `RLWrapperBlackAndWhite` …) accepts ours.
 */
export class Engine extends RateLimiterRedis {
  readonly #redis: RedisManager
  readonly #policies: readonly Policy[]
  readonly #block: BlockRule
  readonly #keyOf: (key: string) => string
  readonly #usual: (Usual & { readonly script: Script<number[]> }) | undefined
  #last: (Usual & { readonly args: readonly string[] }) | undefined

  constructor({ redis, policy, usual, block, keyOf }: EngineOptions) {
    super({ storeClient: redis, keyPrefix: '', points: policy.limit, duration: policy.windowMs / 1000 })
    this.#redis = redis
    this.#policies = [policy]
    this.#block = block
    this.#keyOf = keyOf
    if (usual === undefined) return
    const args = this.#arguments('take', 0, usual.policies, usual.cost).map(String)
    this.#usual = { ...usual, script: decideScriptFor({ ...usual, args }) }
  }

  /** The script's reply, for {@link Engine.read}; fails open, with the reason why Redis did not decide. */
  take(key: string, policies: readonly Policy[], cost: number): Promise<readonly number[] | FallbackReason> {
    const usual = this.#usual
    const fits = usual !== undefined && usual.policies === policies && usual.cost === cost
    const script = fits ? usual.script : decideScript
    const args = fits ? NO_ARGUMENTS : this.#taking(policies, cost)
    return this.#redis.attempt<readonly number[] | FallbackReason>(
      'rate-limit.take',
      (client) => script.run(client, [key], args),
      asItIs,
    )
  }

  /** Gives back what was charged at `at` (Redis' ms); `at` 0: the newest charges. Best effort. */
  refund(key: string, policies: readonly Policy[], cost: number, at: number): Promise<boolean> {
    const args = this.#arguments('refund', at, policies, cost)
    return this.#redis.attempt(
      'rate-limit.refund',
      (client) => decideScript.run(client, [key], args).then(() => true),
      () => false,
    )
  }

  /** Fails closed, for administration. */
  async operate(
    operation: Exclude<Operation, 'take'>,
    key: string,
    policies: readonly Policy[],
    cost: number,
    argument = 0,
  ): Promise<RateLimitDecision> {
    return this.read(await this.#execute(operation, key, policies, cost, argument), policies)
  }

  override getKey(key: string | number): string {
    return this.#keyOf(String(key))
  }

  override penalty(key: string | number, points = 1): Promise<RateLimiterRes> {
    return this.#execute('charge', this.getKey(key), this.#policies, points, 0).then((reply) =>
      resultOf(reply, 0, this),
    )
  }

  /** A log of moments cannot be given a number of points; see `penalty`, `reward` and `block`. */
  override set(): Promise<RateLimiterRes> {
    return Promise.reject(new TypeError('set() is not supported: use penalty(), reward() or block()'))
  }

  // The three below are rate-limiter-flexible's storage interface, absent from its types.

  _upsert(key: string, points: number, durationMs: number, force: boolean): Promise<readonly number[]> {
    if (!Number.isSafeInteger(points)) return Promise.reject(new TypeError('points must be an integer'))
    if (force) return this.#execute('block', key, this.#policies, 0, Math.ceil(durationMs))
    if (points < 0) return this.#execute('refund', key, this.#policies, -points, 0)
    return this.#execute('take', key, this.#policies, points, 0).then((reply) => inFull(reply, 1))
  }

  async _get(key: string): Promise<number[] | null> {
    const reply = await this.#execute('peek', key, this.#policies, 0, 0)
    return reply[0] === 1 && reply[4] === 0 ? null : reply
  }

  _getRateLimiterRes(_key: string, changed: number, reply: readonly number[]): RateLimiterRes {
    return resultOf(reply, changed, this)
  }

  _delete(key: string): Promise<boolean> {
    return this.#redis.execute('rate-limit.reset', async (client) => (await client.del(key)) > 0)
  }

  #execute(
    operation: Operation,
    key: string,
    policies: readonly Policy[],
    cost: number,
    argument: number,
  ): Promise<number[]> {
    const args = this.#arguments(operation, argument, policies, cost)
    return this.#redis.execute(`rate-limit.${operation}`, (client) => decideScript.run(client, [key], args))
  }

  /** A caller of the same policies as the last one is asked for with the same arguments. */
  #taking(policies: readonly Policy[], cost: number): readonly ScriptArgument[] {
    let last = this.#last
    if (last === undefined || last.policies !== policies || last.cost !== cost) {
      last = { policies, cost, args: this.#arguments('take', 0, policies, cost).map(String) }
      this.#last = last
    }
    return last.args
  }

  #arguments(operation: Operation, argument: number, policies: readonly Policy[], cost: number): ScriptArgument[] {
    const { lengthMs, growth, longestMs, rememberMs } = this.#block
    const args: ScriptArgument[] = [operation, argument, lengthMs, growth, longestMs, rememberMs]
    for (const { name, kind, limit, windowMs, quantumMs, cost: own } of policies) {
      args.push(name, kind, limit, windowMs, quantumMs, own ?? cost)
    }
    return args
  }

  read(reply: readonly number[], policies: readonly Policy[]): RateLimitDecision {
    if (foundForeignBytes(reply, policies.length)) {
      this.#redis.emit('data.corrupt', { feature: 'rate-limit', problem: 'a limiter key held foreign bytes' })
    }
    return decisionOf(reply, policies)
  }
}

const asItIs = (reason: FallbackReason): FallbackReason => reason

/** `consumedPoints` above the limit is how rate-limiter-flexible knows a refusal. */
function resultOf(reply: readonly number[], changed: number, { points }: { readonly points: number }): RateLimiterRes {
  const [status = 1, , blockMs = 0, , used = 0, retryAfterMs = 0, resetMs = 0] = reply
  if (status === 1)
    return new RateLimiterRes(Math.max(points - used, 0), resetMs, used, used === changed && changed > 0)
  return new RateLimiterRes(0, status === 2 ? blockMs : retryAfterMs, Math.max(points + 1, used + changed), false)
}
