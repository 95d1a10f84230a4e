import type { RedisManager } from '../redis/index.js'
import type { Awaitable } from '../shared/awaitable.js'
import { type Duration, toMs } from '../shared/duration.js'
import {
  aDuration,
  aFunction,
  anInteger,
  checkOptions,
  either,
  oneOf,
  type Rules,
  requireOptions,
} from '../shared/options.js'
import { fieldOf, type Layout } from './layout.js'
import type { UsageSettings } from './options.js'
import { digitsOf, periodOf } from './time.js'

export interface QuotaOptions<Req> {
  /** Whose quota; undefined is within. */
  readonly user: (req: Req) => string | number | undefined
  /** Cost allowed per period; a call costs 1 where it was tracked without a cost. */
  readonly limit: number | ((req: Req) => Awaitable<number>)
  /** By UTC. @default 'day' */
  readonly per?: 'hour' | 'day' | 'month' | undefined
  /** How long a user's sum is believed without asking Redis. @default '2s' */
  readonly freshFor?: Duration | undefined
}

/**
 * A quota over long periods, read from the usage. It lags by up to `freshFor` and the `flushInterval` of every process:
 * pair it with a rate limiter, which counts exactly. Unknown usage, as while Redis is away, is within.
 */
export interface Quota<Req> {
  /** True while the user may go on: the `skip` of a limiter that slows down who is over. */
  within(req: Req): Promise<boolean>
  /** For the `limit` of a limiter: one number while the user is within, another one beyond. */
  limit(within: number, beyond: number): (req: Req) => Promise<number>
  /** The cost in this period; undefined while Redis is away. */
  used(user: string | number): Promise<number | undefined>
}

const rules: Rules<QuotaOptions<never>> = {
  user: aFunction,
  limit: either(anInteger(0), aFunction),
  per: oneOf('hour', 'day', 'month'),
  freshFor: aDuration(0, 3_600_000),
}

const MOST_REMEMBERED = 10_000

export function createQuota<Req>(options: QuotaOptions<Req>, layout: Layout, settings: UsageSettings): Quota<Req> {
  checkOptions('usage.quota', options, rules as Rules<QuotaOptions<Req>>)
  requireOptions('usage.quota', options, rules as Rules<QuotaOptions<Req>>, 'user', 'limit')
  const { user: whose, limit, per = 'day', freshFor = '2s' } = options
  const { redis, now } = settings
  const fresh = toMs(freshFor)
  const known = new Map<string, { readonly sum: Promise<number | undefined>; readonly until: number }>()

  function used(user: string): Promise<number | undefined> {
    const at = now()
    const name = `${per === 'month' ? periodOf('day', at) : periodOf(per === 'hour' ? 'minute' : 'hour', at)} ${user}`
    const found = known.get(name)
    if (found !== undefined && at < found.until) return found.sum
    known.delete(name)
    if (known.size >= MOST_REMEMBERED) known.delete(known.keys().next().value as string)
    const sum = read(redis, layout, user, per, at)
    known.set(name, { sum, until: at + fresh })
    return sum
  }

  async function within(req: Req): Promise<boolean> {
    const user = whose(req)
    if (user === undefined) return true
    const sum = await used(String(user))
    if (sum === undefined) return true
    return sum < (typeof limit === 'number' ? limit : await limit(req))
  }

  return {
    within,
    limit: (inside, beyond) => async (req) => ((await within(req)) ? inside : beyond),
    used: (user) => used(String(user)),
  }
}

function read(
  redis: RedisManager,
  layout: Layout,
  user: string,
  per: 'hour' | 'day' | 'month',
  at: number,
): Promise<number | undefined> {
  const granularity = per === 'hour' ? 'hour' : 'day'
  const key = layout.user(user, granularity, periodOf(granularity, at))
  const digits =
    per === 'month'
      ? Array.from({ length: 31 }, (_, day) => String(day + 1).padStart(2, '0'))
      : [digitsOf(granularity, at)]
  return redis.attempt<number | undefined>(
    'usage.quota',
    async (client) => {
      const costs = await client.hmget(key, ...digits.map((each) => fieldOf(each, 'c', '')))
      return costs.reduce((sum, cost) => sum + (Number(cost ?? 0) || 0), 0)
    },
    () => undefined,
  )
}
