import type { ServerResponse } from 'node:http'
import { keyFor, type Naming } from './caller.js'
import { createIdentify } from './identify.js'
import type { HttpOptions } from './options.js'
import { costOf } from './plan.js'
import type { Policy } from './policy.js'
import type { Principal } from './principal.js'
import type { RequestLike } from './request.js'

/** Who pays for a request, by which policies, how much. */
export interface Charge {
  readonly principal: Principal
  /** The caller's key in Redis. */
  readonly key: string
  readonly policies: readonly Policy[]
  readonly cost: number
}

export interface Attribution<Req> {
  /** For limiters that know everything beforehand: nothing to wait for. */
  readonly atOnce: ((req: Req) => Charge) | undefined
  /** `free`: not limited. `denied`: on the deny list. */
  find(req: Req): Promise<Charge | 'free' | 'denied'>
}

export function createAttribution<Req extends RequestLike, Res extends ServerResponse>(
  options: HttpOptions<Req, Res>,
  naming: Naming,
): Attribution<Req> {
  const { policies, cost, skip, allowed, denied } = options
  const identify = createIdentify(options)
  const known = identify.atOnce
  const free = skip === undefined && allowed === undefined && denied === undefined

  return {
    atOnce:
      known !== undefined && free && typeof policies !== 'function' && typeof cost === 'number'
        ? (req) => {
            const principal = known(req)
            return { principal, key: keyFor(naming, principal), policies, cost }
          }
        : undefined,
    async find(req) {
      if ((await skip?.(req)) === true || (await allowed?.(req)) === true) return 'free'
      if ((await denied?.(req)) === true) return 'denied'
      const principal = await identify.find(req)
      return {
        principal,
        key: keyFor(naming, principal),
        policies: typeof policies === 'function' ? await policies(req) : policies,
        cost: typeof cost === 'function' ? await costOf(cost, req) : cost,
      }
    },
  }
}
