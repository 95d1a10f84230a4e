import {
  isRedisCommandError,
  type NamespaceStats,
  type RedisHealth,
  type RedisManager,
  type RedisStats,
  type StatusSource,
} from '../../redis/index.js'
import { isError } from '../../shared/errors.js'
import { type CheckResult, type HealthCheck, runCheck } from './checks.js'

/** Everything a report is made of. */
export interface Facts {
  readonly redis: RedisHealth
  readonly server: RedisStats | undefined
  readonly namespaces: readonly NamespaceStats[]
  readonly features: readonly FeatureFact[]
  readonly checks: readonly CheckResult[]
}

/** What one source said, or that it threw. */
export interface FeatureFact {
  readonly feature: string
  readonly name: string | undefined
  readonly status: 'pass' | 'warn' | 'fail'
  readonly values: Readonly<Record<string, number | string | boolean | undefined>>
  readonly problem: string | undefined
}

/** The whole report takes no longer, its writing included, than 100 ms; checks of the user have their own bounds. */
const BOUND_MS = 90
/** For what is a few dozen commands, or was refused: a server logs every refusal. */
const RARELY_MS = 60_000
const STALE_MS = 10_000

export function createFacts(redis: RedisManager, checks: Readonly<Record<string, HealthCheck>>): () => Promise<Facts> {
  const namespaces = remembered(() => namespacesOf(redis), RARELY_MS)
  let latest: RedisStats | undefined

  /** What came late for the report before is still news for this one. */
  async function server(): Promise<RedisStats | undefined> {
    if (latest?.unavailable.includes('info') && Date.now() - latest.at.getTime() < RARELY_MS) return latest
    const asked = redis.stats().then((stats) => {
      latest = stats
      return stats
    })
    return (
      (await within(BOUND_MS, asked)) ?? (latest && Date.now() - latest.at.getTime() < STALE_MS ? latest : undefined)
    )
  }

  return async () => {
    const [health, stats, spaces, results] = await Promise.all([
      within(BOUND_MS, redis.health()),
      redis.available ? server() : undefined,
      redis.available ? within(BOUND_MS, namespaces()) : undefined,
      Promise.all(Object.entries(checks).map(([name, check]) => runCheck(name, check))),
    ])
    return {
      redis: health ?? unanswered(redis),
      server: redis.available ? stats : undefined,
      namespaces: spaces ?? [],
      // What the monitor found of the server earlier; here it was asked just now.
      features: redis.sources().flatMap((source) => (source.feature === 'redis-server' ? [] : ask(source))),
      checks: results,
    }
  }
}

function ask(source: StatusSource): FeatureFact {
  const { feature, name } = source
  try {
    const { status, values, problem } = source.status()
    return { feature, name, status, values, problem }
  } catch (error) {
    return { feature, name, status: 'warn', values: {}, problem: isError(error) ? error.message : String(error) }
  }
}

/** None where the user may not look at keys. */
function namespacesOf(redis: RedisManager): Promise<readonly NamespaceStats[]> {
  return redis.namespaces().then(
    (found) => found,
    (error: unknown) => {
      if (isRedisCommandError(error)) return []
      throw error
    },
  )
}

function unanswered(redis: RedisManager): RedisHealth {
  return { state: redis.state, latencyMs: undefined, since: new Date(), lastError: undefined, inFlight: 0 }
}

/** What the promise resolves to, or `undefined` where it is late or rejects. */
function within<T>(ms: number, promise: Promise<T>): Promise<T | undefined> {
  return new Promise((resolve) => {
    // After a blocked event loop timers run before the socket is read: the answer may be waiting there.
    const timer = setTimeout(() => setImmediate(resolve, undefined), ms)
    const settle = (value: T | undefined): void => {
      clearTimeout(timer)
      resolve(value)
    }
    promise.then(settle, () => settle(undefined))
  })
}

/** Asks again when the answer is older than `ms`; meanwhile the old one stands. */
function remembered<T>(question: () => Promise<T>, ms: number): () => Promise<T> {
  let known: { readonly value: T; readonly until: number } | undefined
  let pending: Promise<T> | undefined
  return () => {
    if (known !== undefined && performance.now() < known.until) return Promise.resolve(known.value)
    pending ??= question()
      .then((value) => {
        known = { value, until: performance.now() + ms }
        return value
      })
      .finally(() => {
        pending = undefined
      })
    if (known === undefined) return pending
    pending.catch(() => {})
    return Promise.resolve(known.value)
  }
}
