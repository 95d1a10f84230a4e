import { createHash } from 'node:crypto'
import { toMs } from '../shared/duration.js'
import { checkOptions, requireOptions } from '../shared/options.js'
import { Adaptive } from './adaptive.js'
import { Coherence } from './coherence.js'
import type { Compression } from './compression.js'
import { cacheEnvironment } from './environment.js'
import { timesOf } from './freshness.js'
import { keyOf } from './key-of.js'
import { type ComputeContext, type Job, Loader, type LoadPolicy } from './loader.js'
import { MemoryFallback } from './memory.js'
import { type CacheOptions, cacheRules, type FreshnessOptions, type SetOptions, setRules } from './options.js'
import { type CacheStats, hitRatioOf, newCounters } from './stats.js'
import { type Snapshot, Store } from './store.js'
import { LocalTier, type Resident } from './tier.js'
import { type CacheUsage, usageOf } from './usage.js'
import { type Held, Values } from './values.js'
import { type WarmLoader, type WarmOptions, type WarmReport, warmUp } from './warm.js'

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

/** What all scopes of a cache share. */
interface Core {
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

const MIB = 1024 * 1024
/** Without announcements of its own, a copy lives no longer than this. */
const PUBSUB_CAP_MS = 5000
const NO_OPTIONS: SetOptions = {}

/**
 * @example
 * ```ts
 * import { createCache, createRedisManager } from 'holdfast'
 *
 * const redis = createRedisManager()
 * const cache = createCache({ redis, namespace: 'shop', ttl: '5m' })
 *
 * const product = await cache.getOrSet('product:1', async () => ({ name: 'Anchor' }), { tags: ['products'] })
 * await cache.invalidateTags('products')
 * ```
 */
export function createCache(options: CacheOptions): Cache {
  checkOptions('createCache', options, cacheRules)
  requireOptions('createCache', options, cacheRules, 'redis')
  const environment = cacheEnvironment(options.env)
  const { redis, namespace = 'default', ttl = environment.defaultTtl ?? 300_000, maxBytes = 4 * MIB } = options
  const { codec = 'json', fallback = 'none', leaseTime = 5000, maxRefreshes = 10, version } = options
  const local = options.local === true ? {} : options.local === false ? undefined : options.local
  const counters = newCounters()
  const closing = new AbortController()
  const defaults = policyOf({ ...options, ttl, tags: [] }, { leaseMs: toMs(leaseTime) })
  const values = new Values({ codec, compression: compressionOf(options.compression), maxBytes })
  const memory = fallback === 'memory' ? new MemoryFallback(32 * MIB) : undefined

  const tier = local === undefined ? undefined : new LocalTier<Held>(local.maxBytes ?? 32 * MIB)
  const maxAgeMs = toMs(local?.maxAge ?? 30_000)
  let coherence: Coherence | undefined
  const capMs = (): number => (coherence?.mode === 'pubsub' ? Math.min(maxAgeMs, PUBSUB_CAP_MS) : maxAgeMs)
  const store = new Store<Held>({
    redis,
    feature: 'cache',
    namespace,
    decode: (entry) => values.decode(entry),
    stamp: version === undefined ? undefined : createHash('sha256').update(version).digest('base64url').slice(0, 12),
    local: tier === undefined ? undefined : { tier, capMs },
    publishes: () => coherence?.mode !== 'tracking',
  })
  if (tier !== undefined && !environment.disabled) {
    coherence = new Coherence({ redis, feature: 'cache', bus: store.bus, tier, want: local?.mode ?? 'tracking' })
  }

  const minReads = typeof options.adaptive === 'object' ? options.adaptive.minReads : undefined
  const maxKeys = typeof options.adaptive === 'object' ? options.adaptive.maxKeys : undefined
  const adaptive =
    options.adaptive === undefined || options.adaptive === false
      ? undefined
      : new Adaptive({ loader: () => loader, minReads: minReads ?? 5, maxKeys: maxKeys ?? 1000 })
  const onUse: Core['onUse'] = adaptive === undefined ? undefined : (job, times) => adaptive.note(job, times)
  const loader: Loader = new Loader({
    redis,
    values,
    memory,
    counters,
    report: (outcome) => {
      if (redis.listens('cache')) redis.emit('cache', { namespace, ...outcome })
    },
    onRefreshError: (error) => redis.emit('cache.refresh-failed', { namespace, error }),
    onUse,
    signal: closing.signal,
    maxRefreshes,
  })
  const stops: (() => void)[] =
    memory === undefined ? [] : (['up', 'recovered'] as const).map((event) => redis.on(event, () => memory.clear()))

  const core: Core = {
    ...{ options, namespace, defaults, values, loader, memory, onUse },
    disabled: environment.disabled,
    countLocalHit: () => {
      counters.localHits++
    },
    stats: () => ({
      namespace,
      ...counters,
      hitRatio: hitRatioOf(counters),
      local: {
        mode: coherence?.mode ?? 'off',
        entries: tier?.size ?? 0,
        bytes: tier?.bytes ?? 0,
        evictions: tier?.evictions ?? 0,
      },
    }),
    close: () => {
      closing.abort()
      adaptive?.close()
      coherence?.close()
      store.bus.close()
      clearInterval(warming)
      for (const stop of stops) stop()
      memory?.clear()
    },
  }
  const cache = new ScopedCache(core, store, '')
  const { onStart = environment.warmOnStart, every } = options.warm ?? {}
  const again = (): void => void cache.warm(undefined, { force: true }).catch(() => {})
  const warming = every === undefined ? undefined : setInterval(again, toMs(every)).unref()
  if (options.warm !== undefined && onStart) {
    const warm = (): void => void cache.warm().catch(() => {})
    if (redis.available) warm()
    else stops.push(once((run) => redis.on('up', run), warm))
  }
  return cache
}

class ScopedCache implements Cache {
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
    return (await this.#find(key))?.take() as Value | undefined
  }

  async has(key: string): Promise<boolean> {
    return (await this.#find(key)) !== undefined
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

  async #find(key: string): Promise<Held | undefined> {
    return (await this.#resident(key))?.value ?? this.#remembered(key)
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

/** Runs at the first event only. */
function once(subscribe: (run: () => void) => () => void, run: () => void): () => void {
  const stop = subscribe(() => {
    stop()
    run()
  })
  return stop
}

function checkKey(key: unknown): void {
  if (typeof key !== 'string' || key === '') throw new TypeError('cache: a key is a non-empty string')
}

function policyOf(options: SetOptions, base: Partial<LoadPolicy> & { readonly leaseMs: number }): LoadPolicy {
  const ms = (value: FreshnessOptions['ttl'], otherwise: number): number =>
    value === undefined ? otherwise : toMs(value)
  const { tags = base.tags ?? [], negativeTtl } = options
  return {
    ttlMs: ms(options.ttl, base.ttlMs ?? 300_000),
    negativeTtlMs: negativeTtl === undefined ? base.negativeTtlMs : toMs(negativeTtl),
    refreshAhead: options.refreshAhead ?? base.refreshAhead ?? 0.2,
    staleWhileRevalidateMs: ms(options.staleWhileRevalidate, base.staleWhileRevalidateMs ?? 0),
    staleIfErrorMs: ms(options.staleIfError, base.staleIfErrorMs ?? 0),
    jitter: options.jitter ?? base.jitter ?? 0.1,
    xfetch: options.xfetch ?? base.xfetch ?? 0,
    waitMs: ms(options.waitTimeout, base.waitMs ?? 5000),
    leaseMs: base.leaseMs,
    tags,
  }
}

function compressionOf(option: CacheOptions['compression']): Compression | false {
  if (option === undefined || option === false) return false
  const given = option === true ? {} : typeof option === 'string' ? { algorithm: option } : option
  return {
    algorithm: given.algorithm ?? 'gzip',
    threshold: ('threshold' in given ? given.threshold : undefined) ?? 1024,
  }
}
