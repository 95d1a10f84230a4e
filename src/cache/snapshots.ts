import type { RedisClient } from '../redis/index.js'
import type { Dependency } from './entry.js'
import { tagName } from './keyspace.js'
import type { StoreContext } from './store-context.js'
import type { Snapshot } from './store-types.js'
import { ensureVersions, VERSION_LENGTH } from './version-scripts.js'
import { EPOCH, type Versions } from './versions.js'

/** The versions that a computation depends on, as they are before it begins. */
export class Snapshots {
  readonly #context: StoreContext<unknown>

  constructor(context: StoreContext<unknown>) {
    this.#context = context
  }

  /** `undefined` where Redis could not be asked. */
  take(tags: readonly string[], lifetimeMs: number): Promise<Snapshot | undefined> {
    const { options, shared } = this.#context
    if (shared.pending.any) return Promise.resolve(undefined)
    return options.redis.attempt<Snapshot | undefined>(
      `${options.feature}.snapshot`,
      (client) => this.takeWith(client, tags, lifetimeMs),
      () => undefined,
    )
  }

  async takeWith(client: RedisClient, tags: readonly string[], lifetimeMs: number): Promise<Snapshot> {
    const { epoch: epochKey, version } = this.#context.keys
    const names = this.#names(tags)
    const [epoch, ...versions] = await ensureVersions(client, [epochKey, ...names.map(version)], lifetimeMs)
    return {
      dependencies: names.map((name, index) => ({ name, version: versions[index] as string })),
      epoch: epoch as string,
    }
  }

  /** What a read has found; `undefined` where a version is missing. */
  seen(versions: Versions, tags: readonly string[]): Snapshot | undefined {
    const epoch = versions.get(EPOCH)
    if (epoch?.length !== VERSION_LENGTH) return undefined
    const dependencies: Dependency[] = []
    for (const name of this.#names(tags)) {
      const version = versions.get(name)
      if (version?.length !== VERSION_LENGTH) return undefined
      dependencies.push({ name, version })
    }
    return { dependencies, epoch, isSeen: true }
  }

  #names(tags: readonly string[]): readonly string[] {
    const { generations } = this.#context.keys
    return tags.length === 0 ? generations : [...generations, ...new Set(tags.map(tagName))]
  }

  /** Tags that became known during the computation; `undefined` where one may have been invalidated meanwhile. */
  async extend(snapshot: Snapshot, tags: readonly string[], lifetimeMs: number): Promise<Snapshot | undefined> {
    const known = new Set(snapshot.dependencies.map(({ name }) => name))
    if (snapshot.isSeen === true) await this.prolong([...known], lifetimeMs)
    const fresh = tags.filter((tag) => !known.has(tagName(tag)))
    if (fresh.length === 0) return snapshot
    const later = await this.take(fresh, lifetimeMs)
    if (later === undefined || later.epoch !== snapshot.epoch) return undefined
    const added = later.dependencies.filter(({ name }) => !known.has(name))
    return { ...snapshot, dependencies: [...snapshot.dependencies, ...added] }
  }

  /** Lets versions live long enough for an entry that is given more time. */
  prolong(names: readonly string[], lifetimeMs: number): Promise<boolean> {
    const { options, keys } = this.#context
    return options.redis.attempt(
      `${options.feature}.prolong`,
      async (client) => {
        await ensureVersions(client, names.map(keys.version), lifetimeMs)
        return true
      },
      () => false,
    )
  }
}
