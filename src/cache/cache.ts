import type { ComputeContext } from './computation.js'
import type { FreshnessOptions, SetOptions } from './options.js'
import type { CacheStats } from './stats.js'
import type { CacheUsage } from './usage.js'
import type { WarmLoader, WarmOptions, WarmReport } from './warm.js'

/** A value for a key that has none: it may be awaited, and may say more about the result. */
export type Computation<Value> = (context: ComputeContext) => Value | Promise<Value>

export interface MemoizeOptions<Args extends readonly unknown[]> extends FreshnessOptions {
  /** First part of the keys. @default the function's name */
  readonly name?: string | undefined
  /** @default a digest of the arguments, see `keyOf` */
  readonly key?: ((...args: Args) => string) | undefined
  readonly tags?: readonly string[] | ((...args: Args) => readonly string[]) | undefined
}

/**
 * Values by key, in Redis and (option `local`) in this process. Plain data is handed out frozen and shared; Buffers and
 * what else freezing does not protect as copies. Nothing rejects because Redis is away.
 */
export interface Cache {
  /** The value, or `undefined`. `null`, `0`, `''` and `false` are values. */
  get<Value = unknown>(key: string): Promise<Value | undefined>
  /** True once stored. `undefined` is not a value: it throws a TypeError. */
  set(key: string, value: unknown, options?: SetOptions): Promise<boolean>
  has(key: string): Promise<boolean>
  /** Milliseconds the value is fresh yet; `undefined` where there is none. */
  ttl(key: string): Promise<number | undefined>
  /** Gives the value a new ttl from now. False where there is none. */
  touch(key: string, ttl: NonNullable<FreshnessOptions['ttl']>): Promise<boolean>
  /**
   * True once the key is gone, with what is being computed for it. False: Redis could not be reached; it is done as
   * soon as Redis is back, and until then this process computes everything.
   */
  delete(key: string): Promise<boolean>
  /**
   * The value, else what `compute` returns: once per key among all who ask, in this process and in others. Rejects only
   * with what `compute` throws, or a CacheValueError for a result that the codec cannot carry.
   */
  getOrSet<Value>(key: string, compute: Computation<Value>, options?: SetOptions): Promise<Value>
  /** Another name of {@link getOrSet}. */
  remember<Value>(key: string, compute: Computation<Value>, options?: SetOptions): Promise<Value>
  /** Writes to the source first, then stores what `write` returns. Of writes at the same time none stays cached. */
  writeThrough<Value>(key: string, write: Computation<Value>, options?: SetOptions): Promise<Value>
  /** Those that were found, by key. One round trip per server. */
  getMany<Value = unknown>(keys: readonly string[]): Promise<Map<string, Value>>
  setMany(entries: Iterable<readonly [key: string, value: unknown]>, options?: SetOptions): Promise<boolean>
  /** As {@link delete}. */
  deleteMany(keys: readonly string[]): Promise<boolean>
  /** As {@link delete}, for all values with one of the tags; one write, however many they are. */
  invalidateTags(...tags: string[]): Promise<boolean>
  /** As {@link delete}, for keys like this: `*` is any text, `\*` a star. Scans Redis: for administration. */
  invalidatePattern(pattern: string): Promise<boolean>
  /** As {@link delete}, for everything in this cache or scope; one write. */
  clear(): Promise<boolean>
  /** A part of this cache for one tenant, which reaches no other keys and tags. */
  scope(tenant: string): Cache
  memoize<Args extends readonly unknown[], Value>(
    compute: (...args: Args) => Value | Promise<Value>,
    options?: MemoizeOptions<Args>,
  ): (...args: Args) => Promise<Value>
  /** Has these loaders' values at hand; by default those of the option `warm`. One process of the fleet at a time. */
  warm(loaders?: readonly WarmLoader[], options?: WarmOptions): Promise<WarmReport>
  stats(): CacheStats
  /** Entries of this namespace in Redis, of all scopes. Scans Redis: for administration. Rejects where Redis is away. */
  usage(): Promise<CacheUsage>
  /** Stops timers and background work. The Redis manager stays open. */
  close(): void
}
