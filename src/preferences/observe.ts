import type { RedisManager } from '../redis/index.js'
import type { PreferencesOutcome } from './events.js'

type Outcome = PreferencesOutcome['outcome']

/** Calls, and tells what became of it. What it throws is the outcome `failed`. */
export type Observe = <T>(
  operation: PreferencesOutcome['operation'],
  call: () => Promise<T>,
  outcomeOf: (result: T) => Outcome,
) => Promise<T>

export function createObserver(redis: RedisManager, name: string): Observe {
  return async (operation, call, outcomeOf) => {
    if (!redis.listens('preferences')) return call()
    const started = performance.now()
    let outcome: Outcome = 'failed'
    try {
      const result = await call()
      outcome = outcomeOf(result)
      return result
    } finally {
      redis.emit('preferences', { name, operation, outcome, durationMs: performance.now() - started })
    }
  }
}
