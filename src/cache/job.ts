import type { RedisManager } from '../redis/index.js'
import type { Compute } from './computation.js'
import type { CacheOutcome } from './events.js'
import type { LoadPolicy } from './load-policy.js'
import type { MemoryFallback } from './memory.js'
import type { CacheCounters } from './stats.js'
import type { Store } from './store.js'
import type { Held, Values } from './values.js'

/** One value that is wanted. */
export interface Job {
  readonly store: Store<Held>
  readonly key: string
  readonly entryKey: string
  readonly compute: Compute
  readonly policy: LoadPolicy
}

/** A fresh value was served or stored: for whoever keeps popular keys warm. */
export type OnUse = (job: Job, times: { readonly createdAt: number; readonly freshUntil: number }) => void

/** What everything that loads values works with. */
export interface LoaderOptions {
  readonly redis: RedisManager
  readonly values: Values
  readonly memory: MemoryFallback | undefined
  readonly counters: CacheCounters
  readonly report: (outcome: Omit<CacheOutcome, 'namespace'>) => void
  readonly onRefreshError: (error: unknown) => void
  readonly onUse: OnUse | undefined
  readonly signal: AbortSignal
  readonly maxRefreshes: number
}
