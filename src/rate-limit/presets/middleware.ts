import type { Request, RequestHandler } from 'express'
import { type RateLimitMiddleware, type RateLimitOptions, rateLimit } from '../middleware.js'
import { networkOfRequest } from '../principal.js'
import { accountOf } from './account.js'

type Overrides = RateLimitOptions

export interface AuthLimitOptions
  extends Omit<RateLimitOptions, 'key' | 'user' | 'limit' | 'window' | 'policies' | 'cost' | 'name'> {
  /** The account that somebody tries to log in to, as the client names it. */
  readonly account: (req: Request) => unknown
  /** Start of both limiters' names. @default 'auth' */
  readonly name?: string | undefined
}

/** Two limiters in a row; each is there to be asked and reset. */
export interface AuthLimit extends RequestHandler {
  /** Failures from one address against one account: 5 in 15 minutes. Key: `address account`. */
  readonly pair: RateLimitMiddleware
  /** Failures against one account from anywhere: 50 in an hour, never a block. Key: the account. */
  readonly account: RateLimitMiddleware
}

/** Ready-made limiters: `presets.api({ redis })` is `rateLimit` with other defaults, all of which can be overridden. */
export interface RateLimitPresets {
  /** 20 in a second and 600 in a minute. */
  api(options: Overrides): RateLimitMiddleware
  /** 10 in a second: for what is cheap but must not be hammered. */
  burst(options: Overrides): RateLimitMiddleware
  /**
   * 5 in 10 minutes and 20 in a day, a block of 10 minutes that doubles up to a day, counted in memory while Redis is
   * away: for password resets, one-time codes, invitations.
   */
  sensitive(options: Overrides): RateLimitMiddleware
  /**
   * For log-ins: counts failures, by address and account together and by account alone, in memory while Redis is away,
   * and sends no `RateLimit` fields, which would tell about other people's attempts. Who knows the right password from
   * another address than the attacker's gets in until 50 failures an hour.
   */
  auth(options: AuthLimitOptions): AuthLimit
}

export const presets: RateLimitPresets = {
  api: (options) =>
    rateLimit({
      ...limits(options, [
        { name: 'burst', limit: 20, window: '1s' },
        { name: 'sustained', limit: 600, window: '1m' },
      ]),
      ...options,
    }),
  burst: (options) => rateLimit({ ...limits(options, [{ name: 'burst', limit: 10, window: '1s' }]), ...options }),
  sensitive: (options) =>
    rateLimit({
      ...limits(options, [
        { name: 'short', limit: 5, window: '10m' },
        { name: 'daily', limit: 20, window: '1d' },
      ]),
      blockDuration: '10m',
      escalation: {},
      onUnavailable: 'memory',
      ...options,
    }),
  auth({ account, name = 'auth', ...options }) {
    const defaults = { count: 'failures', headers: false, onUnavailable: 'memory', ...options } as const
    const pair = rateLimit({
      ...defaults,
      name: `${name}-pair`,
      limit: 5,
      window: '15m',
      key: (req) => {
        const network = networkOfRequest(req, options.ipv6PrefixLength ?? 64)
        return network === undefined ? undefined : `${network} ${accountOf(account(req)) ?? ''}`
      },
    })
    const alone = rateLimit({
      ...defaults,
      blockDuration: undefined,
      escalation: undefined,
      name: `${name}-account`,
      limit: 50,
      window: '1h',
      key: (req) => accountOf(account(req)),
    })
    const both: RequestHandler = function authLimitMiddleware(req, res, next) {
      pair(req, res, (error?: unknown) => (error === undefined ? alone(req, res, next) : next(error)))
    }
    return Object.assign(both, { pair, account: alone })
  },
}

function limits(
  { limit, window }: Overrides,
  policies: NonNullable<RateLimitOptions['policies']>,
): Pick<RateLimitOptions, 'policies'> {
  return limit === undefined && window === undefined ? { policies } : {}
}
