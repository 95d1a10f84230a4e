import type { ServerResponse } from 'node:http'
import { networkOf } from '../shared/address.js'
import type { Answers } from './answers.js'
import { keyFor, type Naming } from './caller.js'
import type { Asked, Core } from './core.js'
import { InfoOnRequest, type Marked } from './info.js'
import type { HttpOptions } from './options.js'
import type { RequestLike } from './request.js'
import type { RateLimitSeam } from './seam.js'

/** Refusals for requests that Express has not seen: to callers by address that this process knows to be refused. */
export function createFrontDoor<Req extends RequestLike, Res extends ServerResponse>(
  options: HttpOptions<Req, Res>,
  naming: Naming,
  core: Core,
  answers: Answers<Req, Res>,
): Pick<RateLimitSeam<Req, Res>, 'ineligible' | 'isBlocked' | 'hasAnswered' | 'hasRefused'> {
  const { policies, cost, shadow, ipv6PrefixLength } = options
  const ineligible = whyNot(options)
  const keys = new Map<string, string>()
  return {
    ineligible,
    isBlocked(req, address) {
      const asked = askedOf(address)
      const refused = asked && core.look(asked)
      return refused && answers.prepared(refused, req.headers.accept)
    },
    hasAnswered(address) {
      const asked = askedOf(address)
      if (asked !== undefined) core.known(asked)
    },
    hasRefused: (req) => InfoOnRequest.isOnly(req as Marked, options),
  }

  function askedOf(address: string | undefined): Asked | undefined {
    if (ineligible !== undefined || shadow || core.remembers === 0 || address === undefined) return undefined
    const key = keyOf(address)
    if (key === '' || typeof policies === 'function' || typeof cost === 'function') return undefined
    return { key, policies, cost }
  }

  /** Empty for what is no address. */
  function keyOf(address: string): string {
    let key = keys.get(address)
    if (key === undefined) {
      const id = networkOf(address, ipv6PrefixLength)
      key = id === undefined ? '' : keyFor(naming, { type: 'address', id })
      if (keys.size >= MAX_KEPT) keys.clear()
      keys.set(address, key)
    }
    return key
  }
}

const MAX_KEPT = 5000

/** Options that need what Express, or middlewares in front, put on the request. */
function whyNot<Req, Res>(options: HttpOptions<Req, Res>): string | undefined {
  const { key, user, skip, allowed, denied, policies, cost, handler } = options
  if (user !== false) return '"user" is not false: the caller may be logged in'
  if (key !== undefined) return '"key" is a function of the request'
  if (skip !== undefined) return '"skip" is a function of the request'
  if (allowed !== undefined || denied !== undefined) return '"allowList" or "denyList" decides first'
  if (typeof policies === 'function') return '"limit" or "policies" is a function of the request'
  if (typeof cost === 'function') return '"cost" is a function of the request'
  return handler === undefined ? undefined : '"handler" answers'
}
