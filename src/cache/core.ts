import type { OnUse } from './job.js'
import type { LoadPolicy } from './load-policy.js'
import type { Loader } from './loader.js'
import type { MemoryFallback } from './memory.js'
import type { CacheOptions } from './options.js'
import type { CacheStats } from './stats.js'
import type { Values } from './values.js'

/** What all scopes of a cache share. */
export interface Core {
  readonly options: CacheOptions
  readonly namespace: string
  readonly defaults: LoadPolicy
  readonly disabled: boolean
  readonly values: Values
  readonly loader: Loader
  readonly memory: MemoryFallback | undefined
  readonly stats: () => CacheStats
  readonly countLocalHit: () => void
  readonly onUse: OnUse | undefined
  readonly close: () => void
}
