import type { Core } from './core.js'
import { timesOf } from './freshness.js'
import { checkKey } from './key.js'
import { type LoadPolicy, lifetimeOf } from './load-policy.js'
import type { Store } from './store.js'
import type { Held, Packed } from './values.js'

/** Stores values that are at hand. Where one cannot be stored, what lies under its key is removed. */
export async function storeMany(
  { values, disabled, memory, options }: Core,
  store: Store<Held>,
  entries: Iterable<readonly [key: string, value: unknown]>,
  policy: LoadPolicy,
): Promise<boolean> {
  const drafts = [...entries].map(([key, value]) => {
    checkKey(key)
    if (value === undefined) throw new TypeError('cache.set: undefined is not a value; use delete')
    const ttlMs = (value === null ? policy.negativeTtlMs : undefined) ?? policy.ttlMs
    return { key, ttlMs, packed: values.pack(value, 0) }
  })
  if (disabled) return false
  const snapshot = await store.snapshot(policy.tags, lifetimeOf(policy, policy.ttlMs))
  const write = async (key: string, ttlMs: number, packed: Packed): Promise<boolean> => {
    const squeezed = await values.squeeze(packed)
    if (snapshot === undefined || squeezed === undefined) return false
    const times = timesOf(ttlMs, policy, policy.jitter, Date.now(), Math.random)
    return store.write(key, { ...times, ...squeezed }, snapshot)
  }
  const written = await Promise.all(drafts.map(({ key, ttlMs, packed }) => write(key, ttlMs, packed)))
  const failed = drafts.filter((_, index) => written[index] !== true)
  if (failed.length === 0) return true
  // Whatever older value lies there must not be taken for the new one.
  await store.remove(failed.map(({ key }) => key))
  if (memory !== undefined && !options.redis.available) {
    for (const { key, ttlMs, packed } of failed) {
      memory.set(store.entryKey(key), values.hold(packed), 2 * packed.body.length, Date.now() + ttlMs)
    }
  }
  return false
}
