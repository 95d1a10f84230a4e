import type { RedisManager } from '../redis/index.js'
import type { Awaitable } from '../shared/awaitable.js'
import { authenticatedUser, idText, networkOfRequest, type Principal, RateLimitKeyError } from './principal.js'
import { proxyAdvice } from './proxy-advice.js'
import type { RequestLike } from './request.js'

type Id = string | number | undefined

export interface IdentifyOptions<Req> {
  readonly redis: RedisManager
  readonly key: ((req: Req) => Awaitable<Id>) | undefined
  readonly user: ((req: Req) => Awaitable<Id>) | undefined
  readonly ipv6PrefixLength: number
}

/** Who sends a request: an own key, else the authenticated user, else the address. Throws where there is none of them. */
export interface Identify<Req> {
  /** Where there are no functions to ask. */
  readonly atOnce: ((req: Req) => Principal) | undefined
  find(req: Req): Promise<Principal>
  /** Looks for a wrong `trust proxy`; `find` does so by itself. */
  advise(req: Req): void
}

export function createIdentify<Req extends RequestLike>(options: IdentifyOptions<Req>): Identify<Req> {
  const { redis, key, user, ipv6PrefixLength } = options
  const advise = proxyAdvice(redis)

  function principalOf(req: Req, id: unknown): Principal {
    const userId = idText('"user"', id)
    if (userId !== undefined) return { type: 'user', id: userId }
    advise(req)
    const network = networkOfRequest(req, ipv6PrefixLength)
    if (network === undefined) throw new RateLimitKeyError('the request has neither a user nor an address to count for')
    return { type: 'address', id: network }
  }

  return {
    advise,
    atOnce: key === undefined && user === undefined ? (req) => principalOf(req, authenticatedUser(req)) : undefined,
    async find(req) {
      const own = idText('"key"', await key?.(req))
      if (own !== undefined) return { type: 'key', id: own }
      return principalOf(req, user === undefined ? authenticatedUser(req) : await user(req))
    },
  }
}
