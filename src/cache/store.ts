import { randomBytes } from 'node:crypto'
import { type FallbackReason, type RedisClient, type RedisManager, scan } from '../redis/index.js'
import { Bus } from './bus.js'
import { type Dependency, decodeEntry, type Entry, encodeEntry, lifeOf } from './entry.js'
import { type CacheKeys, cacheKeys, tagName } from './keyspace.js'
import { mget, mgetMany } from './mget.js'
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
import { ensureVersions, replaceVersions } from './tags.js'
import type { LocalTier, Reader, Resident } from './tier.js'

/** What a caller makes of an entry's bytes, once for all who read it. */
export interface Decoded<Value> {
  readonly value: Value
  /** Memory it takes in this process. */
  readonly bytes: number
}

export type Decode<Value> = (entry: Entry) => Decoded<Value> | undefined | Promise<Decoded<Value> | undefined>

export interface StoreOptions<Value> {
  readonly redis: RedisManager
  /** First part of every key, one for each kind of store. */
  readonly feature: string
  readonly namespace: string
  /** `undefined` for bytes it cannot read: a miss. */
  readonly decode: Decode<Value>
  /** Told apart from entries that another version of the program wrote. @default none */
  readonly stamp?: string | undefined
  /** Copies in this process, and how long one is kept at most. @default none */
  readonly local?: { readonly tier: LocalTier<Value>; readonly capMs: () => number } | undefined
  /** Whether changes are to be published, because not everybody is told by the server. @default only to those who wait */
  readonly publishes?: (() => boolean) | undefined
}

/** `away`: Redis was not asked or did not answer; nothing is known about the key. */
export type Reading<Value> =
  | ({ readonly state: 'found'; readonly resident: Resident<Value> } & Surroundings)
  | ({ readonly state: 'absent' } & Surroundings)
  | { readonly state: 'away'; readonly reason: FallbackReason | 'pending' }

interface Surroundings {
  /** Of the bytes that were found, whatever they are: tells later whether they are still the same. */
  readonly mark: Mark
  /** Token of the computation that holds the lease. */
  readonly lease: string | undefined
  /** Versions that were read along, by name. */
  readonly versions: ReadonlyMap<string, string | undefined>
}

export type Mark = Buffer

/** The versions as they were before a computation began. What is written with it is valid only while they stay. */
export interface Snapshot {
  readonly dependencies: readonly Dependency[]
  /** Changes with every invalidation of a tag: tells whether tags that are named later are still as they were. */
  readonly epoch: string
}

export type Draft = Omit<Entry, 'dependencies'>

export type Begun =
  | { readonly state: 'leading'; readonly token: string; readonly snapshot: Snapshot }
  | { readonly state: 'busy' | 'changed' | 'away' }

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

  constructor(options: StoreOptions<Value>, path: readonly string[] = [], shared?: Shared<Value>) {
    const { redis, feature, namespace } = options
    this.#path = path
    this.#keys = cacheKeys({ keys: redis.keys, feature, namespace, path })
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

  /** One round trip where `tags` names all tags of the entry, else two. */
  read(key: string, tags: readonly string[] = []): Promise<Reading<Value>> {
    const { options, pending } = this.#shared
    if (pending.any) return Promise.resolve({ state: 'away', reason: 'pending' })
    const names = this.#namesOf(tags)
    const entryKey = this.#keys.entry(key)
    return options.redis.attempt<Reading<Value>>(
      `${options.feature}.read`,
      async (client) => {
        const reader = this.#reader([entryKey], names)
        try {
          const [frame, lease, ...versions] = await mget(
            client,
            [entryKey, this.#keys.lease(key)],
            names.map(this.#keys.version),
          )
          const current = new Map(names.map((name, index) => [name, textOf(versions[index])]))
          return await this.#judge(client, { entryKey, frame, lease, current, reader })
        } finally {
          reader?.end()
        }
      },
      (reason) => ({ state: 'away', reason }),
    )
  }

  /** As {@link read} for many keys, in one round trip per server, two where entries have tags not named. */
  readMany(keys: readonly string[], tags: readonly string[] = []): Promise<Reading<Value>[]> {
    const { options, pending } = this.#shared
    const away = (reason: FallbackReason | 'pending') => keys.map((): Reading<Value> => ({ state: 'away', reason }))
    if (pending.any) return Promise.resolve(away('pending'))
    const names = this.#namesOf(tags)
    const entryKeys = keys.map(this.#keys.entry)
    return options.redis.attempt<Reading<Value>[]>(
      `${options.feature}.readMany`,
      async (client) => {
        const reader = this.#reader(entryKeys, names)
        try {
          const [frames, versions] = await Promise.all([
            mgetMany(client, entryKeys),
            client.mgetBuffer(names.map(this.#keys.version)),
          ])
          const current = new Map(names.map((name, index) => [name, textOf(versions[index])]))
          await this.#complete(
            client,
            current,
            frames.flatMap((frame) => dependenciesOf(frame)),
            reader,
          )
          return await Promise.all(
            entryKeys.map((entryKey, index) =>
              this.#judge(client, { entryKey, frame: frames[index], lease: null, current, reader }),
            ),
          )
        } finally {
          reader?.end()
        }
      },
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
    const frame = encodeEntry({ ...draft, dependencies: [...dependencies, ...this.#stamp] })
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
    const frame = encodeEntry({ ...draft, dependencies: [...dependencies, ...this.#stamp] })
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

  async #judge(
    client: RedisClient,
    {
      entryKey,
      frame,
      lease: leaseBytes,
      current,
      reader,
    }: {
      entryKey: string
      frame: Buffer | null | undefined
      lease: Buffer | null | undefined
      current: Map<string, string | undefined>
      reader: Reader | undefined
    },
  ): Promise<Reading<Value>> {
    const { options } = this.#shared
    const lease = textOf(leaseBytes)?.slice(0, TOKEN_LENGTH)
    const mark = frame === null || frame === undefined ? NO_MARK : Buffer.from(frame.subarray(4, 12))
    const around = { lease, versions: current, mark }
    if (frame === null || frame === undefined) return { state: 'absent', ...around }
    const entry = decodeEntry(frame)
    if (entry === undefined) return this.#corrupt('an entry is not a frame of this version', around)
    await this.#complete(client, current, entry.dependencies, reader)
    const stamp = this.#stamp
    const known = (name: string): string | undefined =>
      stamp.find((each) => each.name === name)?.version ?? current.get(name)
    const valid =
      entry.dependencies.every(({ name, version }) => known(name) === version) &&
      stamp.every((each) => entry.dependencies.some(({ name }) => name === each.name))
    if (!valid) return { state: 'absent', ...around }
    const decoded = await options.decode(entry)
    if (decoded === undefined) return this.#corrupt('an entry cannot be decoded', around)
    const { value, bytes } = decoded
    const { local } = options
    if (local !== undefined && reader?.unchanged) {
      const dependencies = entry.dependencies.filter(({ name }) => name !== STAMP)
      local.tier.keep(entryKey, { ...entry, dependencies }, value, {
        bytes,
        capMs: local.capMs(),
        versionKey: this.#keys.version,
      })
    }
    const { createdAt, freshUntil, staleUntil, metadata } = entry
    return {
      state: 'found',
      resident: { key: entryKey, value, createdAt, freshUntil, staleUntil, metadata },
      ...around,
    }
  }

  #corrupt(problem: string, around: Surroundings): Reading<Value> {
    const { redis, feature } = this.#shared.options
    redis.emit('data.corrupt', { feature, problem })
    return { state: 'absent', ...around }
  }

  /** Reads the versions that are needed and not known yet. */
  async #complete(
    client: RedisClient,
    current: Map<string, string | undefined>,
    needed: readonly Dependency[],
    reader: Reader | undefined,
  ): Promise<void> {
    const names = [...new Set(needed.map(({ name }) => name))].filter((name) => name !== STAMP && !current.has(name))
    if (names.length === 0) return
    const keys = names.map(this.#keys.version)
    for (const key of keys) reader?.watch(key)
    const versions = await client.mgetBuffer(keys)
    for (const [index, name] of names.entries()) current.set(name, textOf(versions[index]))
  }

  #reader(entryKeys: readonly string[], names: readonly string[]): Reader | undefined {
    const { local } = this.#shared.options
    if (!local?.tier.open) return undefined
    const reader = local.tier.reader()
    for (const key of entryKeys) reader.watch(key)
    for (const name of names) reader.watch(this.#keys.version(name))
    return reader
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

  get #stamp(): readonly Dependency[] {
    const { stamp } = this.#shared.options
    return stamp === undefined ? [] : [{ name: STAMP, version: stamp }]
  }

  get #ownGeneration(): string {
    return this.#keys.generations.at(-1) as string
  }
}

/** Name of the dependency on the program's own version, which is not in Redis. */
const STAMP = 's'

function textOf(bytes: Buffer | null | undefined): string | undefined {
  return bytes?.toString('latin1')
}

/** Where there was nothing. */
export const NO_MARK: Mark = Buffer.alloc(0)

/** The mark of an entry's frame: the time it was made. */
export function markOf({ createdAt }: { readonly createdAt: number }): Mark {
  const mark = Buffer.alloc(8)
  mark.writeDoubleBE(createdAt)
  return mark
}

function dependenciesOf(frame: Buffer | null | undefined): readonly Dependency[] {
  return frame === null || frame === undefined ? [] : (decodeEntry(frame)?.dependencies ?? [])
}
