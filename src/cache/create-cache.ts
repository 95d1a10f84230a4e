import { createHash } from 'node:crypto'
import { toMs } from '../shared/duration.js'
import { checkOptions, requireOptions } from '../shared/options.js'
import { Adaptive } from './adaptive.js'
import type { Cache } from './cache.js'
import { Coherence } from './coherence.js'
import type { Compression } from './compression.js'
import type { Core } from './core.js'
import { cacheEnvironment } from './environment.js'
import { policyOf } from './load-policy.js'
import { Loader } from './loader.js'
import { MemoryFallback } from './memory.js'
import { type CacheOptions, cacheRules } from './options.js'
import { ScopedCache } from './scoped-cache.js'
import { hitRatioOf, newCounters } from './stats.js'
import { Store } from './store.js'
import { LocalTier } from './tier.js'
import { type Held, Values } from './values.js'

const MIB = 1024 * 1024
/** Without announcements of its own, a copy lives no longer than this. */
const PUBSUB_CAP_MS = 5000

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
  const memory = fallback === 'none' ? undefined : new MemoryFallback(fallbackBytes(fallback) ?? 32 * MIB)

  const tier = local === undefined ? undefined : new LocalTier<Held>(local.maxBytes ?? 32 * MIB)
  const maxAgeMs = toMs(local?.maxAge ?? 30_000)
  let coherence: Coherence | undefined
  const capMs = (): number => (coherence?.mode === 'pubsub' ? Math.min(maxAgeMs, PUBSUB_CAP_MS) : maxAgeMs)
  const store = new Store<Held>({
    redis,
    feature: 'cache',
    namespace,
    decode: (entry, kept) => values.decode(entry, kept),
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
  stops.push(
    redis.register({
      feature: 'cache',
      name: namespace,
      status: () => {
        const { hitRatio, stale, local: copies } = core.stats()
        const { mode, entries, bytes } = copies
        return {
          status: 'pass',
          values: { hitRatio, stale, localMode: mode, localEntries: entries, localBytes: bytes },
        }
      },
    }),
  )
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

/** Runs at the first event only. */
function once(subscribe: (run: () => void) => () => void, run: () => void): () => void {
  const stop = subscribe(() => {
    stop()
    run()
  })
  return stop
}

function fallbackBytes(option: Exclude<CacheOptions['fallback'], 'none'>): number | undefined {
  return typeof option === 'object' ? option.maxBytes : undefined
}

function compressionOf(option: CacheOptions['compression']): Compression | false {
  if (option === undefined || option === false) return false
  const given = option === true ? {} : typeof option === 'string' ? { algorithm: option } : option
  return {
    algorithm: given.algorithm ?? 'gzip',
    threshold: ('threshold' in given ? given.threshold : undefined) ?? 1024,
  }
}
