import { Bus } from './bus.js'
import type { Seen } from './entry.js'
import { EntryReader } from './entry-reader.js'
import { EntryWriter } from './entry-writer.js'
import { Invalidator } from './invalidator.js'
import { cacheKeys } from './keyspace.js'
import { PendingInvalidations } from './pending.js'
import { away, type Reading } from './reading.js'
import { Snapshots } from './snapshots.js'
import type { SharedState, StoreContext } from './store-context.js'
import type { BeginOptions, Begun, Draft, Snapshot, StoreOptions } from './store-types.js'
import type { Resident } from './tier.js'
import type { Versions } from './versions.js'

export { type Mark, markOf, NO_MARK, type Reading } from './reading.js'
export type { Begun, Decoded, Draft, Snapshot, StoreOptions } from './store-types.js'

const NO_TAGS: readonly string[] = []

/**
 * Entries with tags in Redis, and copies in this process. Once {@link invalidateTags}, {@link clear},
 * {@link remove} or {@link invalidatePattern} has resolved to `true`, no read that begins later in Redis sees an entry
 * whose snapshot or lease was taken earlier.
 */
export class Store<Value> {
  readonly #context: StoreContext<Value>
  readonly #path: readonly string[]
  readonly #reader: EntryReader<Value>
  readonly #snapshots: Snapshots
  readonly #writer: EntryWriter
  readonly #invalidator: Invalidator
  readonly #readName: string

  constructor(options: StoreOptions<Value>, path: readonly string[] = NO_TAGS, shared?: SharedState) {
    const { redis, feature, namespace } = options
    const keys = cacheKeys({ keys: redis.keys, feature, namespace, path })
    this.#path = path
    this.#readName = `${feature}.read`
    this.#context = {
      options,
      keys,
      shared: shared ?? {
        bus: new Bus(redis, redis.keys.key(`${feature}-bus`, redis.keys.slot(namespace))),
        pending: new PendingInvalidations(redis, () => this.#invalidator.replace(keys.generations)),
        epoch: 0,
      },
    }
    this.#reader = new EntryReader(options, keys)
    this.#snapshots = new Snapshots(this.#context)
    this.#writer = new EntryWriter(this.#context, this.#snapshots)
    this.#invalidator = new Invalidator(this.#context)
  }

  /** A part of the namespace that no key or tag outside of it reaches. Cleared with what it is a part of. */
  scope(name: string): Store<Value> {
    return new Store(this.#context.options, [...this.#path, name], this.#context.shared)
  }

  get bus(): Bus {
    return this.#context.shared.bus
  }

  get epoch(): number {
    return this.#context.shared.epoch
  }

  /** The key's name in Redis: one text for all scopes. */
  entryKey(key: string): string {
    return this.#context.keys.entry(key)
  }

  /** A copy in this process, at once. Costs nothing where none are kept. */
  near(key: string, now: number): Resident<Value> | undefined {
    return this.#context.options.local === undefined ? undefined : this.peek(this.entryKey(key), now)
  }

  /** As {@link near}, by the name in Redis. */
  peek(entryKey: string, now: number): Resident<Value> | undefined {
    const { options, shared } = this.#context
    return options.local === undefined || shared.pending.any ? undefined : options.local.tier.get(entryKey, now)
  }

  /**
   * One command where `tags` names all tags of the entry (on a Cluster two at the same time), else one more. `lease`:
   * whether to tell who holds it; `epoch`: whether what is found is to do for {@link seen}. Never rejects.
   */
  read(
    key: string,
    tags: readonly string[] = NO_TAGS,
    lease: boolean = false,
    epoch: boolean = false,
  ): Promise<Reading<Value>> {
    const { options, shared } = this.#context
    if (shared.pending.any) return Promise.resolve(away('pending'))
    return options.redis.attempt<Reading<Value>>(
      this.#readName,
      (client) => this.#reader.read(client, key, tags, lease, epoch),
      away,
    )
  }

  /** As {@link read} for many keys: still one command, on a Cluster one round trip to each master. */
  readMany(keys: readonly string[], tags: readonly string[] = NO_TAGS): Promise<Reading<Value>[]> {
    const { options, shared } = this.#context
    if (shared.pending.any) return Promise.resolve(keys.map(() => away('pending')))
    return options.redis.attempt<Reading<Value>[]>(
      `${options.feature}.readMany`,
      (client) => this.#reader.readMany(client, keys, tags),
      (reason) => keys.map(() => away(reason)),
    )
  }

  /** Call before the computation; `undefined` where its result cannot be stored. */
  snapshot(tags: readonly string[], lifetimeMs: number): Promise<Snapshot | undefined> {
    return this.#snapshots.take(tags, lifetimeMs)
  }

  /** The snapshot that a read with the epoch has brought along; `undefined` where a version has to be made first. */
  seen(versions: Versions, tags: readonly string[]): Snapshot | undefined {
    return this.#snapshots.seen(versions, tags)
  }

  /** Tags that became known during the computation; `undefined` where one may have been invalidated meanwhile. */
  extend(snapshot: Snapshot, tags: readonly string[], lifetimeMs: number): Promise<Snapshot | undefined> {
    return this.#snapshots.extend(snapshot, tags, lifetimeMs)
  }

  /** Lets versions live long enough for an entry that is given more time. */
  prolong(names: readonly string[], lifetimeMs: number): Promise<boolean> {
    return this.#snapshots.prolong(names, lifetimeMs)
  }

  /** The right to fill the key, for this process alone. */
  begin(key: string, options: BeginOptions): Promise<Begun> {
    return this.#writer.begin(key, options)
  }

  /** Stores what was computed under the lease. False where the lease was lost, or nothing is certain. */
  fill(key: string, token: string, draft: Draft, snapshot: Snapshot): Promise<boolean> {
    return this.#writer.fill(key, token, draft, snapshot)
  }

  renew(key: string, token: string, leaseMs: number): Promise<boolean> {
    return this.#writer.renew(key, token, leaseMs)
  }

  release(key: string, token: string): Promise<boolean> {
    return this.#writer.release(key, token)
  }

  /** Stores without a lease, and outdates computations that run. False where it is not certain that it was stored. */
  write(key: string, draft: Draft, snapshot: Snapshot): Promise<boolean> {
    return this.#writer.write(key, draft, snapshot)
  }

  /** Gives an entry another end. False where it is not the one that was seen. */
  touch(key: string, seen: Resident<Value>, freshUntil: number, staleUntil: number): Promise<boolean> {
    return this.#writer.touch(key, seen, freshUntil, staleUntil)
  }

  /** Puts more behind the body, and other metadata before it. False where it is not the entry that was seen. */
  append(key: string, seen: Seen, metadata: Buffer, more: Buffer): Promise<boolean> {
    return this.#writer.append(key, seen, metadata, more)
  }

  /**
   * True once the keys are gone, with what is being computed for them. False where Redis could not be asked: it is done
   * as soon as Redis answers, and until then this process reads nothing from the namespace.
   */
  remove(keys: readonly string[]): Promise<boolean> {
    return this.#invalidator.keys(keys)
  }

  /** As {@link remove}, for every entry with one of the tags: one write per tag. */
  invalidateTags(tags: readonly string[]): Promise<boolean> {
    return this.#invalidator.tags(tags)
  }

  /** As {@link remove}, for the namespace or scope: one write. */
  clear(): Promise<boolean> {
    return this.#invalidator.everything()
  }

  /** As {@link remove}, for keys that match: `*` stands for any text. Looks at every key of every master, twice. */
  invalidatePattern(pattern: string): Promise<boolean> {
    return this.#invalidator.pattern(pattern)
  }
}
