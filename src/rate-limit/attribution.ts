import type { ServerResponse } from 'node:http'
import { keyFor, type Naming } from './caller.js'
import type { Asked } from './core.js'
import { createIdentify } from './identify.js'
import type { Passed } from './info.js'
import type { HttpOptions } from './options.js'
import { costOf } from './plan.js'
import { authenticatedUser, type Principal } from './principal.js'
import type { RequestLike } from './request.js'

/** Who pays for a request, by which policies, how much. */
export interface Charge extends Asked, Passed {
  readonly principal: Principal
}

export interface Attribution<Req> {
  /** For limiters that know everything beforehand: nothing to wait for. */
  readonly atOnce: ((req: Req) => Charge | 'gone') | undefined
  /** True where nothing is read that middlewares in front may have set. */
  readonly early: boolean
  /** `free`: not limited. `denied`: on the deny list. `gone`: the client has closed its connection. */
  find(req: Req): Promise<Charge | 'free' | 'denied' | 'gone'>
}

const MAX_KEPT = 5000

export function createAttribution<Req extends RequestLike, Res extends ServerResponse>(
  options: HttpOptions<Req, Res>,
  naming: Naming,
): Attribution<Req> {
  const { policies, cost, skip, allowed, denied, user, unnamed } = options
  const identify = createIdentify(options)
  const free = skip === undefined && allowed === undefined && denied === undefined
  const known = free && typeof policies !== 'function' && typeof cost === 'number' ? { policies, cost } : undefined
  const kept = new Map<string, Charge>()

  /** Callers come again, and what is charged to an address does not change. */
  function chargeOf(
    req: Req,
    find: (req: Req) => Principal | undefined,
    of: Pick<Charge, 'policies' | 'cost'>,
  ): Charge | 'gone' {
    const ip = user === false || authenticatedUser(req) === undefined ? req.ip : undefined
    const before = ip === undefined ? undefined : kept.get(ip)
    if (before !== undefined) {
      identify.advise(req)
      return before
    }
    const principal = find(req)
    if (principal === undefined) return 'gone'
    const charge = { ...of, owner: options, unnamed, principal, key: keyFor(naming, principal) }
    if (ip !== undefined) {
      if (kept.size >= MAX_KEPT) kept.clear()
      kept.set(ip, charge)
    }
    return charge
  }

  const find = identify.atOnce
  const atOnce = known !== undefined && find !== undefined ? (req: Req) => chargeOf(req, find, known) : undefined
  return {
    atOnce,
    early: atOnce !== undefined && user === false,
    async find(req) {
      if ((await skip?.(req)) === true || (await allowed?.(req)) === true) return 'free'
      if ((await denied?.(req)) === true) return 'denied'
      const principal = await identify.find(req)
      if (principal === undefined) return 'gone'
      return {
        owner: options,
        unnamed,
        principal,
        key: keyFor(naming, principal),
        policies: typeof policies === 'function' ? await policies(req) : policies,
        cost: typeof cost === 'function' ? await costOf(cost, req) : cost,
      }
    },
  }
}
