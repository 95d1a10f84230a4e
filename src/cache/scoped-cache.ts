import { toMs } from '../shared/duration.js'
import { checkOptions } from '../shared/options.js'
import type { Cache, Computation, MemoizeOptions } from './cache.js'
import { timesOf } from './freshness.js'
import { keyOf } from './key-of.js'
import { policyOf } from './load-policy.js'
import type { Job, Loader, LoadPolicy } from './loader.js'
import type { MemoryFallback } from './memory.js'
import { type CacheOptions, type FreshnessOptions, type SetOptions, setRules } from './options.js'
import type { CacheStats } from './stats.js'
import type { Snapshot, Store } from './store.js'
import type { Resident } from './tier.js'
import { type CacheUsage, usageOf } from './usage.js'
import type { Held, Values } from './values.js'
import { type WarmLoader, type WarmOptions, type WarmReport, warmUp } from './warm.js'

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
  readonly onUse: ((job: Job, times: { createdAt: number; freshUntil: number }) => void) | undefined
  readonly close: () => void
}

const NO_OPTIONS: SetOptions = {}

/** A cache, or the part of one that belongs to a tenant. */
export class ScopedCache implements Cache {
  readonly #core: Core
  readonly #store: Store<Held>
  /** Of this scope, in keys of things that all scopes share. */
  readonly #path: string

  constructor(core: Core, store: Store<Held>, path: string) {
    this.#core = core
    this.#store = store
    this.#path = path
  }

  getOrSet<Value>(key: string, compute: Computation<Value>, options: SetOptions = NO_OPTIONS): Promise<Value> {
    const { defaults, onUse } = this.#core
    // The path of nearly every call: nothing is built but the promise.
    if (options === NO_OPTIONS || (options.refreshAhead === undefined && options.xfetch === undefined)) {
      const now = Date.now()
      const resident = typeof key === 'string' ? this.#store.peek(this.#store.entryKey(key), now) : undefined
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

  async #getOrSet<Value>(key: string, compute: Computation<Value>, options: SetOptions): Promise<Value> {
    const job = this.#job(key, compute, options)
    const { disabled, loader } = this.#core
    if (disabled) return (await this.#computeOnly(job)) as Value
    const resident = this.#store.peek(job.entryKey, Date.now())
    const served = resident === undefined ? undefined : loader.serve(job, resident)
    return (served === undefined ? await loader.load(job) : served.take()) as Value
  }

  async get<Value = unknown>(key: string): Promise<Value | undefined> {
    const held = (await this.#resident(key))?.value ?? this.#remembered(key)
    return held?.take() as Value | undefined
  }

  async has(key: string): Promise<boolean> {
    return ((await this.#resident(key))?.value ?? this.#remembered(key)) !== undefined
  }

  async ttl(key: string): Promise<number | undefined> {
    const resident = await this.#resident(key)
    return resident === undefined ? undefined : Math.max(0, Math.ceil(resident.freshUntil - Date.now()))
  }

  async touch(key: string, ttl: NonNullable<FreshnessOptions['ttl']>): Promise<boolean> {
    checkKey(key)
    if (this.#core.disabled) return false
    const ttlMs = toMs(ttl)
    const reading = await this.#store.read(key)
    if (reading.state !== 'found') return false
    const { createdAt, freshUntil, staleUntil } = reading.resident
    const end = Date.now() + ttlMs
    if (end <= createdAt) return false
    const stale = end + (staleUntil - freshUntil)
    // The versions it depends on have to live as long.
    const names = [...reading.versions.keys()].filter((name) => reading.versions.get(name) !== undefined)
    const prolonged = await this.#store.prolong(names, stale - Date.now())
    return prolonged && this.#store.touch(key, reading.resident, end, stale)
  }

  async set(key: string, value: unknown, options: SetOptions = NO_OPTIONS): Promise<boolean> {
    return this.setMany([[key, value]], options)
  }

  async setMany(
    entries: Iterable<readonly [key: string, value: unknown]>,
    options: SetOptions = NO_OPTIONS,
  ): Promise<boolean> {
    const { values, disabled, memory } = this.#core
    const { redis } = this.#core.options
    const policy = this.#policy(options)
    const packed = [...entries].map(([key, value]) => {
      checkKey(key)
      if (value === undefined) throw new TypeError('cache.set: undefined is not a value; use delete')
      return { key, value, packed: values.pack(value, 0) }
    })
    if (disabled) return false
    const lifetimeMs = policy.ttlMs + Math.max(policy.staleWhileRevalidateMs, policy.staleIfErrorMs)
    const snapshot = await this.#store.snapshot(policy.tags, lifetimeMs)
    const written = await Promise.all(
      packed.map(async (each) => {
        const squeezed = await values.squeeze(each.packed)
        if (snapshot !== undefined && squeezed !== undefined)
          return this.#write(each.key, squeezed, policy, snapshot, each.value)
        return false
      }),
    )
    const failed = packed.filter((_, index) => written[index] !== true)
    if (failed.length === 0) return true
    // Whatever older value lies there must not be taken for the new one.
    await this.#store.remove(failed.map(({ key }) => key))
    if (memory !== undefined && !redis.available) {
      for (const { key, packed: each } of failed) {
        memory.set(this.#store.entryKey(key), values.hold(each), 2 * each.body.length, Date.now() + policy.ttlMs)
      }
    }
    return false
  }

  #write(
    key: string,
    packed: { flags: number; metadata: Buffer; body: Buffer },
    policy: LoadPolicy,
    snapshot: Snapshot,
    value: unknown,
  ): Promise<boolean> {
    const ttlMs = (value === null ? policy.negativeTtlMs : undefined) ?? policy.ttlMs
    const times = timesOf(ttlMs, policy, policy.jitter, Date.now(), Math.random)
    return this.#store.write(key, { ...times, ...packed }, snapshot)
  }

  async getMany<Value = unknown>(keys: readonly string[]): Promise<Map<string, Value>> {
    for (const key of keys) checkKey(key)
    const found = new Map<string, Value>()
    const now = Date.now()
    const rest: string[] = []
    for (const key of new Set(keys)) {
      const resident = this.#core.disabled ? undefined : this.#store.peek(this.#store.entryKey(key), now)
      if (resident === undefined || resident.freshUntil <= now) rest.push(key)
      else found.set(key, resident.value.take() as Value)
    }
    if (rest.length === 0 || this.#core.disabled) return found
    const readings = await this.#store.readMany(rest)
    for (const [index, reading] of readings.entries()) {
      const key = rest[index] as string
      if (reading.state === 'found' && reading.resident.freshUntil > now) {
        found.set(key, reading.resident.value.take() as Value)
      } else if (reading.state === 'away') {
        const held = this.#remembered(key)
        if (held !== undefined) found.set(key, held.take() as Value)
      }
    }
    return found
  }

  async delete(key: string): Promise<boolean> {
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
    if (this.#core.disabled) return (await this.#computeOnly(job)) as Value
    return (await this.#core.loader.through(job)) as Value
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

  async #resident(key: string): Promise<Resident<Held> | undefined> {
    checkKey(key)
    if (this.#core.disabled) return undefined
    const now = Date.now()
    const near = this.#store.peek(this.#store.entryKey(key), now)
    if (near !== undefined && near.freshUntil > now) return near
    const reading = await this.#store.read(key)
    return reading.state === 'found' && reading.resident.freshUntil > now ? reading.resident : undefined
  }

  #remembered(key: string): Held | undefined {
    const { memory, options } = this.#core
    return options.redis.available ? undefined : memory?.get(this.#store.entryKey(key), Date.now())
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

  async #computeOnly({ compute }: Job): Promise<unknown> {
    return compute({ signal: new AbortController().signal, setTtl: () => {}, setTags: () => {}, skip: () => {} })
  }
}

function checkKey(key: unknown): void {
  if (typeof key !== 'string' || key === '') throw new TypeError('cache: a key is a non-empty string')
}
