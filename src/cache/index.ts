export type { Cache, Computation, MemoizeOptions } from './cache.js'
export { type CacheCodec, jsonCodec, v8Codec } from './codec.js'
export type { LocalMode } from './coherence.js'
export type { CompressionAlgorithm } from './compression.js'
export type { ComputeContext } from './computation.js'
export { createCache } from './create-cache.js'
export {
  type CacheableOptions,
  cacheable,
  type InvalidatesOptions,
  invalidates,
  type MethodDecorator,
} from './decorators.js'
export { CacheValueError, isCacheValueError } from './errors.js'
export type { CacheOutcome } from './events.js'
export { keyOf } from './key-of.js'
export type { CacheOptions, FreshnessOptions, SetOptions } from './options.js'
export type { CacheCounters, CacheStats } from './stats.js'
export type { CacheUsage } from './usage.js'
export type { WarmLoader, WarmOptions, WarmProgress, WarmReport } from './warm.js'
