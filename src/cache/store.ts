import { randomBytes } from 'node:crypto'
import { type FallbackReason, type RedisClient, scan } from '../redis/index.js'
import { Bus } from './bus.js'
import { encodeEntry, lifeOf } from './entry.js'
import { EntryReader, stampOf } from './entry-reader.js'
import { type CacheKeys, cacheKeys, tagName } from './keyspace.js'
import { PendingInvalidations } from './pending.js'
import {
  acquireScript,
  fillScript,
  putScript,
  releaseScript,
  removeScript,
  renewScript,
  TOKEN_LENGTH,
  touchScript,
} from './scripts.js'
import {
  type Begun,
  type Draft,
  type Mark,
  markOf,
  type Reading,
  type Snapshot,
  type StoreOptions,
} from './store-types.js'
import { ensureVersions, replaceVersions } from './tags.js'
import type { Resident } from './tier.js'

export type { Begun, Decoded, Draft, Mark, Reading, Snapshot, StoreOptions } from './store-types.js'
export { markOf, NO_MARK } from './store-types.js'

interface Shared<Value> {
  readonly options: StoreOptions<Value>
  readonly bus: Bus
  readonly pending: PendingInvalidations
  /** Grows with every invalidation this process makes. */
  epoch: number
}

/**
 * Entries with tags in Redis, and copies in this process. Once {@link invalidateTags}, {@link clear},
 * {@link remove} or {@link invalidatePattern} has resolved to `true`, no read that begins later in Redis sees an entry
 * whose snapshot or lease was taken earlier.
 */
export class Store<Value> {
  readonly #shared: Shared<Value>
  readonly #keys: CacheKeys
  readonly #path: readonly string[]
  readonly #reader: EntryReader<Value>

  constructor(options: StoreOptions<Value>, path: readonly string[] = [], shared?: Shared<Value>) {
    const { redis, feature, namespace } = options
    this.#path = path
    this.#keys = cacheKeys({ keys: redis.keys, feature, namespace, path })
    this.#reader = new EntryReader(options, this.#keys)
    this.#shared = shared ?? {
      options,
      bus: new Bus(redis, redis.keys.key(`${feature}-bus`, redis.keys.slot(namespace))),
      pending: new PendingInvalidations(redis, () => this.#replace([this.#ownGeneration])),
      epoch: 0,
    }
  }

  /** A part of the namespace that no key or tag outside of it reaches. Cleared with what it is a part of. */
  scope(name: string): Store<Value> {
    return new Store(this.#shared.options, [...this.#path, name], this.#shared)
  }

  get bus(): Bus {
    return this.#shared.bus
  }

  get epoch(): number {
    return this.#shared.epoch
  }

  /** The key's name in Redis: one text for all scopes. */
  entryKey(key: string): string {
    return this.#keys.entry(key)
  }

  /** A copy in this process. */
  peek(entryKey: string, now: number): Resident<Value> | undefined {
    const { options, pending } = this.#shared
    return options.local === undefined || pending.any ? undefined : options.local.tier.get(entryKey, now)
  }

  /** One round trip where `tags` names all tags of the entry, else two. `lease`: whether to tell who holds it. */
  read(key: string, tags: readonly string[] = [], lease: boolean = false): Promise<Reading<Value>> {
    const { options, pending } = this.#shared
    if (pending.any) return Promise.resolve({ state: 'away', reason: 'pending' })
    return options.redis.attempt<Reading<Value>>(
      `${options.feature}.read`,
      (client) => this.#reader.read(client, key, tags, lease),
      (reason) => ({ state: 'away', reason }),
    )
  }

  /** As {@link read} for many keys, in one round trip per server, two where entries have tags not named. */
  readMany(keys: readonly string[], tags: readonly string[] = []): Promise<Reading<Value>[]> {
    const { options, pending } = this.#shared
    const away = (reason: FallbackReason | 'pending') => keys.map((): Reading<Value> => ({ state: 'away', reason }))
    if (pending.any) return Promise.resolve(away('pending'))
    return options.redis.attempt<Reading<Value>[]>(
      `${options.feature}.readMany`,
      (client) => this.#reader.readMany(client, keys, tags),
      away,
    )
  }

  /** Call before the computation; `undefined` where its result cannot be stored. */
  snapshot(tags: readonly string[], lifetimeMs: number): Promise<Snapshot | undefined> {
    const { options, pending } = this.#shared
    if (pending.any) return Promise.resolve(undefined)
    return options.redis.attempt<Snapshot | undefined>(
      `${options.feature}.snapshot`,
      (client) => this.#snapshot(client, tags, lifetimeMs),
      () => undefined,
    )
  }

  /** Tags that became known during the computation; `undefined` where one may have been invalidated meanwhile. */
  async extend(snapshot: Snapshot, tags: readonly string[], lifetimeMs: number): Promise<Snapshot | undefined> {
    const known = new Set(snapshot.dependencies.map(({ name }) => name))
    const fresh = tags.filter((tag) => !known.has(tagName(tag)))
    if (fresh.length === 0) return snapshot
    const later = await this.snapshot(fresh, lifetimeMs)
    if (later === undefined || later.epoch !== snapshot.epoch) return undefined
    const added = later.dependencies.filter(({ name }) => !known.has(name))
    return { ...snapshot, dependencies: [...snapshot.dependencies, ...added] }
  }

  /** The right to fill the key, for this process alone, unless something else than `seen` lies there by now. */
  begin(
    key: string,
    {
      tags,
      lifetimeMs,
      leaseMs,
      seen,
      force = false,
    }: { tags: readonly string[]; lifetimeMs: number; leaseMs: number; seen: Mark; force?: boolean },
  ): Promise<Begun> {
    const { options, pending } = this.#shared
    if (pending.any) return Promise.resolve({ state: 'away' })
    const token = randomBytes((TOKEN_LENGTH / 4) * 3).toString('base64url')
    return options.redis.attempt<Begun>(
      `${options.feature}.begin`,
      async (client) => {
        const [taken, snapshot] = await Promise.all([
          acquireScript.run(client, this.#pair(key), [token, leaseMs, seen, force ? '1' : '0']),
          this.#snapshot(client, tags, lifetimeMs),
        ])
        if (taken === 1) return { state: 'leading', token, snapshot }
        return { state: taken === 0 ? 'busy' : 'changed' }
      },
      () => ({ state: 'away' }),
    )
  }

  /** Stores what was computed under the lease. False where the lease was lost, or nothing is certain. */
  fill(key: string, token: string, draft: Draft, { dependencies }: Snapshot): Promise<boolean> {
    const frame = encodeEntry({ ...draft, dependencies: [...dependencies, ...stampOf(this.#shared.options)] })
    return this.#run('fill', fillScript, key, [token, frame, lifeOf(draft), ...this.#news()])
  }

  renew(key: string, token: string, leaseMs: number): Promise<boolean> {
    return this.#run('renew', renewScript, key, [token, leaseMs])
  }

  release(key: string, token: string): Promise<boolean> {
    return this.#run('release', releaseScript, key, [token, this.bus.channel])
  }

  /** Stores without a lease, and outdates computations that run. False where it is not certain that it was stored. */
  async write(key: string, draft: Draft, { dependencies }: Snapshot): Promise<boolean> {
    const life = lifeOf(draft)
    if (life <= 0) return false
    const frame = encodeEntry({ ...draft, dependencies: [...dependencies, ...stampOf(this.#shared.options)] })
    return this.#run('write', putScript, key, [frame, life, ...this.#news()])
  }

  /** Lets versions live long enough for an entry that is given more time. */
  prolong(names: readonly string[], lifetimeMs: number): Promise<boolean> {
    const { options } = this.#shared
    return options.redis.attempt(
      `${options.feature}.prolong`,
      async (client) => {
        await ensureVersions(client, names.map(this.#keys.version), lifetimeMs)
        return true
      },
      () => false,
    )
  }

  /** Gives an entry another end. False where it is not the one that was seen. */
  async touch(key: string, seen: Resident<Value>, freshUntil: number, staleUntil: number): Promise<boolean> {
    const ends = Buffer.alloc(16)
    ends.writeDoubleBE(freshUntil, 0)
    ends.writeDoubleBE(staleUntil, 8)
    const life = Math.max(1, Math.ceil(staleUntil - Date.now()))
    const done = await this.#run('touch', touchScript, key, [markOf(seen), ends, life, ...this.#news()])
    if (done) this.#forget(key)
    return done
  }

  /**
   * True once the keys are gone, with what is being computed for them. False where Redis could not be asked: it is done
   * as soon as Redis answers, and until then this process reads nothing from the namespace.
   */
  remove(keys: readonly string[]): Promise<boolean> {
    return this.#invalidate(keys.map((key) => ({ name: `key ${this.#keys.entry(key)}`, run: () => this.#remove(key) })))
  }

  /** As {@link remove}, for every entry with one of the tags: one write per tag. */
  invalidateTags(tags: readonly string[]): Promise<boolean> {
    const names = [...new Set(tags.map(tagName))]
    if (names.length === 0) return Promise.resolve(true)
    return this.#invalidate([{ name: `tags ${names}`, run: () => this.#replace(names) }])
  }

  /** As {@link remove}, for the namespace or scope: one write. */
  clear(): Promise<boolean> {
    return this.#invalidate([{ name: `clear ${this.#path.length}`, run: () => this.#replace([this.#ownGeneration]) }])
  }

  /** As {@link remove}, for keys that match: `*` stands for any text. Looks at every key of every master, twice. */
  invalidatePattern(pattern: string): Promise<boolean> {
    return this.#invalidate([{ name: `pattern ${pattern}`, run: () => this.#unlinkMatching(pattern) }])
  }

  // A computation that ran when the first pass began has lost its lease in it, or had stored its result before the
  // second began: SCAN returns what is there from its beginning to its end.
  async #unlinkMatching(pattern: string): Promise<boolean> {
    const { redis, feature } = this.#shared.options
    const { entries, leases } = this.#keys.matching(pattern)
    const [channel, always] = this.#news()
    try {
      for (const match of [...leases, ...entries]) {
        for await (const keys of scan(redis, match)) {
          const unlink = (client: RedisClient): Promise<unknown> =>
            Promise.all(
              keys.flatMap((key) => [client.unlink(key), ...(always === '1' ? [client.publish(channel, key)] : [])]),
            )
          await redis.execute(`${feature}.unlink`, unlink, { deadline: 1000 })
          for (const key of keys) this.#shared.options.local?.tier.changed(key)
        }
      }
      return true
    } catch {
      return false
    }
  }

  async #remove(key: string): Promise<boolean> {
    const { options } = this.#shared
    const done = await options.redis.attempt(
      `${options.feature}.delete`,
      async (client) => {
        await removeScript.run(client, this.#pair(key), [...this.#news()])
        return true
      },
      () => false,
    )
    this.#forget(key)
    return done
  }

  async #invalidate(works: readonly { name: string; run: () => Promise<boolean> }[]): Promise<boolean> {
    const { options, pending } = this.#shared
    this.#shared.epoch++
    const done = await Promise.all(works.map(({ run }) => run()))
    for (const [index, { name, run }] of works.entries()) if (done[index] !== true) pending.add(name, run)
    this.#shared.epoch++
    if (done.every(Boolean)) return true
    options.redis.warn(
      'HOLDFAST_INVALIDATION_PENDING',
      'an invalidation could not reach Redis; it is done when Redis returns, other processes may serve stale entries until then',
    )
    return false
  }

  #replace(names: readonly string[]): Promise<boolean> {
    const { options } = this.#shared
    const keys = names.map(this.#keys.version)
    return options.redis.attempt(
      `${options.feature}.invalidate`,
      async (client) => {
        await replaceVersions(client, [this.#keys.epoch, ...keys], this.#news())
        for (const key of keys) options.local?.tier.changed(key)
        return true
      },
      () => false,
    )
  }

  async #snapshot(client: RedisClient, tags: readonly string[], lifetimeMs: number): Promise<Snapshot> {
    const names = this.#namesOf(tags)
    const keys = [this.#keys.epoch, ...names.map(this.#keys.version)]
    const [epoch, ...versions] = await ensureVersions(client, keys, lifetimeMs)
    return {
      dependencies: names.map((name, index) => ({ name, version: versions[index] as string })),
      epoch: epoch as string,
    }
  }

  #run(
    operation: string,
    script: typeof fillScript,
    key: string,
    args: readonly (string | number | Buffer)[],
  ): Promise<boolean> {
    const { options } = this.#shared
    return options.redis.attempt(
      `${options.feature}.${operation}`,
      async (client) => {
        const done = (await script.run(client, this.#pair(key), args)) === 1
        if (done && (operation === 'write' || operation === 'fill')) this.#forget(key)
        return done
      },
      () => false,
    )
  }

  #forget(key: string): void {
    this.#shared.options.local?.tier.changed(this.#keys.entry(key))
  }

  #namesOf(tags: readonly string[]): string[] {
    return tags.length === 0 ? [...this.#keys.generations] : [...this.#keys.generations, ...new Set(tags.map(tagName))]
  }

  #pair(key: string): [string, string] {
    return [this.#keys.entry(key), this.#keys.lease(key)]
  }

  #news(): [channel: string, always: string] {
    return [this.bus.channel, this.#shared.options.publishes?.() ? '1' : '0']
  }

  get #ownGeneration(): string {
    return this.#keys.generations.at(-1) as string
  }
}
