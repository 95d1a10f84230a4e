import { type Duration, toMs } from '../shared/duration.js'
import { ConfigurationError } from '../shared/errors.js'
import { aBlockDuration } from './block.js'
import { type Caller, keyFor, type Naming, principalOf } from './caller.js'
import type { Core } from './core.js'
import type { RateLimitDecision } from './decision.js'
import type { Policy } from './policy.js'
import { announce, reset } from './resets.js'

/** What an operator does about a caller. All of them fail closed: they reject while Redis is away. */
export interface Operations {
  peek(caller: Caller): Promise<RateLimitDecision>
  reset(caller: Caller): Promise<boolean>
  block(caller: Caller, duration: Duration): Promise<void>
  reward(caller: Caller, points: number): Promise<void>
}

export function createOperations(core: Core, naming: Naming, policies: readonly Policy[]): Operations {
  const { redis, name, ipv6PrefixLength } = naming
  const keyOf = (operation: string, caller: Caller): string =>
    keyFor(naming, principalOf(`${operation}() of limiter "${name}"`, caller, ipv6PrefixLength))

  // Points given back are points, whatever a policy charges for a request.
  const plain = policies.map((policy) => ({ ...policy, cost: undefined }))

  return {
    async peek(caller) {
      return core.engine.operate('peek', keyOf('peek', caller), policies, 1)
    },
    async reset(caller) {
      const key = keyOf('reset', caller)
      core.forget(key)
      return reset(redis, name, key)
    },
    async block(caller, duration) {
      const key = keyOf('block', caller)
      if (!aBlockDuration.accepts(duration)) {
        throw new ConfigurationError(`block() of limiter "${name}"`, 'duration', `must be ${aBlockDuration.expected}`)
      }
      await core.engine.operate('block', key, [], 0, toMs(duration))
    },
    async reward(caller, points) {
      const key = keyOf('reward', caller)
      await core.engine.operate('refund', key, plain, points)
      core.forget(key)
      await announce(redis, name, key)
    },
  }
}
