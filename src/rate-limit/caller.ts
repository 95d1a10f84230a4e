import type { RedisManager } from '../redis/index.js'
import { networkOf } from '../shared/address.js'
import { idText, type Principal, RateLimitKeyError, storedId } from './principal.js'

/** Whom an operation is about: as the limiter sees its callers. */
export type Caller =
  | { readonly user: string | number }
  | { readonly address: string }
  | { readonly key: string | number }

export interface Naming {
  readonly redis: RedisManager
  /** Name of the limiter. */
  readonly name: string
  readonly keySecret: string | undefined
  readonly ipv6PrefixLength: number
}

/** The Redis key of a principal: one record for all policies of a limiter. */
export function keyFor({ redis, name, keySecret }: Naming, { type, id }: Principal, feature = 'rate'): string {
  return redis.keys.key(feature, name, type, storedId(id, keySecret))
}

export function principalOf(owner: string, caller: Caller, ipv6PrefixLength: number): Principal {
  if (typeof caller !== 'object' || caller === null)
    throw new RateLimitKeyError(`${owner} needs { user }, { address } or { key }`)
  if ('address' in caller) {
    const id = networkOf(caller.address, ipv6PrefixLength)
    if (id === undefined) throw new RateLimitKeyError(`${owner} needs an IP address`)
    return { type: 'address', id }
  }
  const [type, value] = 'user' in caller ? (['user', caller.user] as const) : (['key', caller.key] as const)
  const id = idText(owner, value)
  if (id === undefined) throw new RateLimitKeyError(`${owner} needs a ${type} that is not empty`)
  return { type, id }
}
