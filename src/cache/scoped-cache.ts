import { checkOptions } from '../shared/options.js'
import type { Cache, Computation, MemoizeOptions } from './cache.js'
import type { Core } from './core.js'
import type { Job } from './job.js'
import { checkKey } from './key.js'
import { keyOf } from './key-of.js'
import { type LoadPolicy, policyOf } from './load-policy.js'
import { Lookups } from './lookups.js'
import { type FreshnessOptions, type SetOptions, setRules } from './options.js'
import type { CacheStats } from './stats.js'
import type { Store } from './store.js'
import { type CacheUsage, usageOf } from './usage.js'
import type { Held } from './values.js'
import { type WarmLoader, type WarmOptions, type WarmReport, warmRules, warmUp } from './warm.js'
import { storeMany } from './writing.js'

const NO_OPTIONS: SetOptions = {}

/** A cache, or the part of one that belongs to a tenant. */
export class ScopedCache implements Cache {
  readonly #core: Core
  readonly #store: Store<Held>
  readonly #lookups: Lookups
  /** Of this scope, in keys of things that all scopes share. */
  readonly #path: string

  constructor(core: Core, store: Store<Held>, path: string) {
    this.#core = core
    this.#store = store
    this.#lookups = new Lookups(core, store)
    this.#path = path
  }

  getOrSet<Value>(key: string, compute: Computation<Value>, options: SetOptions = NO_OPTIONS): Promise<Value> {
    const { defaults, onUse } = this.#core
    // The path of nearly every call: nothing is built but the promise.
    if (options === NO_OPTIONS || (options.refreshAhead === undefined && options.xfetch === undefined)) {
      const now = Date.now()
      const resident = typeof key === 'string' ? this.#store.near(key, now) : undefined
      if (resident !== undefined && defaults.xfetch === 0 && onUse === undefined && !this.#listens()) {
        const { createdAt, freshUntil, value } = resident
        if (freshUntil - now > (freshUntil - createdAt) * defaults.refreshAhead) {
          this.#core.countLocalHit()
          return Promise.resolve(value.take() as Value)
        }
      }
    }
    return this.#getOrSet(key, compute, options)
  }

  remember<Value>(key: string, compute: Computation<Value>, options?: SetOptions): Promise<Value> {
    return this.getOrSet(key, compute, options)
  }

  get<Value = unknown>(key: string): Promise<Value | undefined> {
    return this.#lookups.get(key) as Promise<Value | undefined>
  }

  has(key: string): Promise<boolean> {
    return this.#lookups.has(key)
  }

  ttl(key: string): Promise<number | undefined> {
    return this.#lookups.ttl(key)
  }

  touch(key: string, ttl: NonNullable<FreshnessOptions['ttl']>): Promise<boolean> {
    return this.#lookups.touch(key, ttl)
  }

  getMany<Value = unknown>(keys: readonly string[]): Promise<Map<string, Value>> {
    return this.#lookups.getMany(keys) as Promise<Map<string, Value>>
  }

  set(key: string, value: unknown, options: SetOptions = NO_OPTIONS): Promise<boolean> {
    return this.setMany([[key, value]], options)
  }

  async setMany(
    entries: Iterable<readonly [key: string, value: unknown]>,
    options: SetOptions = NO_OPTIONS,
  ): Promise<boolean> {
    return storeMany(this.#core, this.#store, entries, this.#policy(options))
  }

  delete(key: string): Promise<boolean> {
    return this.deleteMany([key])
  }

  async deleteMany(keys: readonly string[]): Promise<boolean> {
    for (const key of keys) {
      checkKey(key)
      this.#core.memory?.delete(this.#store.entryKey(key))
    }
    return this.#store.remove(keys)
  }

  invalidateTags(...tags: string[]): Promise<boolean> {
    this.#core.memory?.clear()
    return this.#store.invalidateTags(tags)
  }

  async invalidatePattern(pattern: string): Promise<boolean> {
    checkKey(pattern)
    this.#core.memory?.clear()
    return this.#store.invalidatePattern(pattern)
  }

  clear(): Promise<boolean> {
    this.#core.memory?.clear()
    return this.#store.clear()
  }

  async writeThrough<Value>(key: string, write: Computation<Value>, options: SetOptions = NO_OPTIONS): Promise<Value> {
    const job = this.#job(key, write, options)
    this.#core.memory?.delete(job.entryKey)
    return (this.#core.disabled ? computeOnly(job) : this.#core.loader.through(job)) as Promise<Value>
  }

  scope(tenant: string): Cache {
    if (typeof tenant !== 'string' || tenant === '') throw new TypeError('cache.scope: a tenant is a non-empty string')
    return new ScopedCache(this.#core, this.#store.scope(tenant), `${this.#path}${tenant.length}:${tenant}`)
  }

  memoize<Args extends readonly unknown[], Value>(
    compute: (...args: Args) => Value | Promise<Value>,
    { name = compute.name, key, tags, ...rest }: MemoizeOptions<Args> = {},
  ): (...args: Args) => Promise<Value> {
    if (name === '' && key === undefined) throw new TypeError('cache.memoize: a nameless function needs a name or key')
    return (...args) =>
      this.getOrSet(key === undefined ? `${name}:${keyOf(args)}` : key(...args), () => compute(...args), {
        ...rest,
        tags: typeof tags === 'function' ? tags(...args) : tags,
      })
  }

  async warm(loaders?: readonly WarmLoader[], options: WarmOptions = {}): Promise<WarmReport> {
    const { disabled, namespace } = this.#core
    const { redis, warm } = this.#core.options
    const chosen = loaders ?? warm?.loaders ?? []
    checkOptions('cache.warm', options, warmRules)
    for (const { key } of chosen) checkKey(key)
    if (disabled) return { total: chosen.length, done: 0, failed: 0, skipped: true }
    return warmUp({
      redis,
      lockKey: redis.keys.key('cache-warm', namespace, this.#path),
      loaders: chosen,
      options: { concurrency: warm?.concurrency, ...options },
      run: ({ key, load, ...set }) =>
        options.force === true
          ? this.#core.loader.through(this.#job(key, load, set))
          : this.getOrSet(key, load as Computation<unknown>, set),
    })
  }

  stats(): CacheStats {
    return this.#core.stats()
  }

  usage(): Promise<CacheUsage> {
    const { redis } = this.#core.options
    return usageOf(redis, redis.keys.pattern('cache', this.#core.namespace))
  }

  close(): void {
    this.#core.close()
  }

  #getOrSet<Value>(key: string, compute: Computation<Value>, options: SetOptions): Promise<Value> {
    try {
      const job = this.#job(key, compute, options)
      const { disabled, loader } = this.#core
      if (disabled) return computeOnly(job) as Promise<Value>
      const resident = this.#store.peek(job.entryKey, Date.now())
      const served = resident === undefined ? undefined : loader.serve(job, resident)
      return (served === undefined ? loader.load(job) : Promise.resolve(served.take())) as Promise<Value>
    } catch (error) {
      return Promise.reject(error)
    }
  }

  #listens(): boolean {
    return this.#core.options.redis.listens('cache')
  }

  #policy(options: SetOptions): LoadPolicy {
    if (options === NO_OPTIONS) return this.#core.defaults
    checkOptions('cache', options, setRules)
    return policyOf(options, this.#core.defaults)
  }

  #job(key: string, compute: Computation<unknown>, options: SetOptions): Job {
    checkKey(key)
    return { store: this.#store, key, entryKey: this.#store.entryKey(key), compute, policy: this.#policy(options) }
  }
}

/** Where the cache is switched off. */
async function computeOnly({ compute }: Job): Promise<unknown> {
  return compute({ signal: new AbortController().signal, setTtl: () => {}, setTags: () => {}, skip: () => {} })
}
