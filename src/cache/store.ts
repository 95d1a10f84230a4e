import { isCluster, type RedisClient, type RedisManager } from '../redis/index.js'
import { type Dependency, decodeEntry, type Entry, encodeEntry } from './entry.js'
import { cacheKeys, tagName } from './keyspace.js'
import { PendingInvalidations } from './pending.js'
import { ensureVersions, replaceVersions } from './tags.js'

export interface StoreOptions {
  readonly redis: RedisManager
  /** First part of every key, one for each kind of store. */
  readonly feature: string
  readonly namespace: string
  /** Scopes inside the namespace, outermost first. */
  readonly path?: readonly string[]
}

/** `away`: Redis was not asked or did not answer; nothing is known about the key. */
export type Reading =
  | { readonly state: 'found'; readonly entry: Entry }
  | { readonly state: 'absent' }
  | { readonly state: 'away' }

/** The versions as they were before a computation began. What is written with it is valid only while they stay. */
export interface Snapshot {
  readonly dependencies: readonly Dependency[]
}

export type Draft = Omit<Entry, 'dependencies'>

/**
 * Entries with tags in Redis. Once {@link Store.invalidateTags} or {@link Store.clear} has resolved to `true`, no read
 * that begins later sees an entry whose snapshot was taken earlier.
 */
export interface Store {
  /** One round trip where `tags` names all tags of the entry, else two. */
  read(key: string, tags?: readonly string[]): Promise<Reading>
  /** Call before the computation; `undefined` where its result cannot be stored. */
  snapshot(tags: readonly string[], lifetimeMs: number): Promise<Snapshot | undefined>
  /** False where it is not certain that the entry was stored. */
  write(key: string, draft: Draft, snapshot: Snapshot): Promise<boolean>
  /**
   * True once done. False where Redis could not be asked: it is done as soon as Redis answers again, and until then
   * this process reads nothing from the namespace.
   */
  invalidateTags(tags: readonly string[]): Promise<boolean>
  clear(): Promise<boolean>
}

const FOUND_NOTHING: Reading = { state: 'absent' }
const AWAY: Reading = { state: 'away' }

export function createStore({ redis, feature, namespace, path = [] }: StoreOptions): Store {
  const keys = cacheKeys({ keys: redis.keys, feature, namespace, path })
  const generationKeys = keys.generations.map(keys.version)
  const pending = new PendingInvalidations(redis, () => replace([ownGeneration()]))

  function ownGeneration(): string {
    return keys.generations.at(-1) as string
  }

  function replace(names: readonly string[]): Promise<boolean> {
    return redis.attempt(
      `${feature}.invalidate`,
      async (client) => {
        await replaceVersions(client, names.map(keys.version))
        return true
      },
      () => false,
    )
  }

  async function invalidate(names: readonly string[]): Promise<boolean> {
    if (names.length === 0) return true
    const done = await replace(names)
    if (!done) {
      for (const name of names) pending.add(name, () => replace([name]))
      redis.warn(
        'HOLDFAST_INVALIDATION_PENDING',
        'an invalidation could not reach Redis; it is done when Redis returns, other processes may serve stale entries until then',
      )
    }
    return done
  }

  async function find(client: RedisClient, key: string, tags: readonly string[]): Promise<Reading> {
    const tagKeys = tags.map((tag) => keys.version(tagName(tag)))
    const [frame, ...versions] = await mget(client, keys.entry(key), [...generationKeys, ...tagKeys])
    if (frame === null || frame === undefined) return FOUND_NOTHING
    const entry = decodeEntry(frame)
    if (entry === undefined) {
      redis.emit('data.corrupt', { feature, problem: 'an entry is not a frame of this version' })
      return FOUND_NOTHING
    }
    const current = new Map<string, Buffer | null | undefined>()
    for (const [index, name] of [...keys.generations, ...tags.map(tagName)].entries())
      current.set(name, versions[index])
    const unknown = entry.dependencies.filter(({ name }) => !current.has(name))
    if (unknown.length > 0) {
      const more = await client.mgetBuffer(unknown.map(({ name }) => keys.version(name)))
      for (const [index, { name }] of unknown.entries()) current.set(name, more[index])
    }
    const valid = entry.dependencies.every(({ name, version }) => current.get(name)?.toString('latin1') === version)
    return valid ? { state: 'found', entry } : FOUND_NOTHING
  }

  return {
    read(key, tags = []) {
      if (pending.any) return Promise.resolve(AWAY)
      return redis.attempt(
        `${feature}.read`,
        (client) => find(client, key, tags),
        () => AWAY,
      )
    },
    snapshot(tags, lifetimeMs) {
      if (pending.any) return Promise.resolve(undefined)
      const names = [...keys.generations, ...new Set(tags.map(tagName))]
      return redis.attempt<Snapshot | undefined>(
        `${feature}.snapshot`,
        async (client) => {
          const versions = await ensureVersions(client, names.map(keys.version), lifetimeMs)
          return { dependencies: names.map((name, index) => ({ name, version: versions[index] as string })) }
        },
        () => undefined,
      )
    },
    write(key, draft, { dependencies }) {
      const lifetime = Math.ceil(draft.staleUntil - Date.now())
      if (lifetime <= 0) return Promise.resolve(false)
      const frame = encodeEntry({ ...draft, dependencies })
      return redis.attempt(
        `${feature}.write`,
        async (client) => (await client.set(keys.entry(key), frame, 'PX', lifetime)) === 'OK',
        () => false,
      )
    },
    invalidateTags: (tags) => invalidate([...new Set(tags.map(tagName))]),
    clear: () => invalidate([ownGeneration()]),
  }
}

/** An entry and versions in one round trip: on a Cluster they live on different servers. */
async function mget(client: RedisClient, entryKey: string, versionKeys: readonly string[]): Promise<(Buffer | null)[]> {
  if (!isCluster(client)) return client.mgetBuffer([entryKey, ...versionKeys])
  const [entry, versions] = await Promise.all([client.getBuffer(entryKey), client.mgetBuffer([...versionKeys])])
  return [entry, ...versions]
}
