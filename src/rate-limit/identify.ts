import type { RedisManager } from '../redis/index.js'
import type { Awaitable } from '../shared/awaitable.js'
import { authenticatedUser, idText, networkOfRequest, type Principal, RateLimitKeyError } from './principal.js'
import { proxyAdvice } from './proxy-advice.js'
import type { RequestLike } from './request.js'

type Id = string | number | undefined

export interface IdentifyOptions<Req> {
  readonly redis: RedisManager
  readonly key: ((req: Req) => Awaitable<Id>) | undefined
  /** `false`: by address, whoever is logged in. */
  readonly user: ((req: Req) => Awaitable<Id>) | false | undefined
  readonly ipv6PrefixLength: number
}

/**
 * Who sends a request: an own key, else the authenticated user, else the address; `undefined` where the client has
 * closed its connection and with it taken its address. Throws where there is none of them.
 */
export interface Identify<Req> {
  /** Where there are no functions to ask. */
  readonly atOnce: ((req: Req) => Principal | undefined) | undefined
  find(req: Req): Promise<Principal | undefined>
  /** Looks for a wrong `trust proxy`; `find` does so by itself. */
  advise(req: Req): void
}

export function createIdentify<Req extends RequestLike>(options: IdentifyOptions<Req>): Identify<Req> {
  const { redis, key, user, ipv6PrefixLength } = options
  const advise = proxyAdvice(redis)

  function principalOf(req: Req, id: unknown): Principal | undefined {
    const userId = idText('"user"', id)
    if (userId !== undefined) return { type: 'user', id: userId }
    advise(req)
    const network = networkOfRequest(req, ipv6PrefixLength)
    if (network !== undefined) return { type: 'address', id: network }
    if (req.socket?.destroyed === true) return undefined
    throw new RateLimitKeyError('the request has neither a user nor an address to count for')
  }

  const ownUser = typeof user === 'function' ? user : undefined
  const userOf = user === false ? () => undefined : authenticatedUser
  return {
    advise,
    atOnce: key === undefined && ownUser === undefined ? (req) => principalOf(req, userOf(req)) : undefined,
    async find(req) {
      const own = idText('"key"', await key?.(req))
      if (own !== undefined) return { type: 'key', id: own }
      return principalOf(req, ownUser === undefined ? userOf(req) : await ownUser(req))
    },
  }
}
