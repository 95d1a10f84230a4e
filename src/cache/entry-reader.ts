import type { RedisClient } from '../redis/index.js'
import { type Dependency, decodeEntry, type Entry } from './entry.js'
import { type CacheKeys, STAMP, tagName } from './keyspace.js'
import { mget, mgetMany } from './mget.js'
import { TOKEN_LENGTH } from './scripts.js'
import { type Decoded, NO_MARK, type Reading, type StoreOptions, type Surroundings } from './store-types.js'
import type { Reader } from './tier.js'

/** Reads entries with the versions they depend on, and keeps a copy of what is still true when it has arrived. */
export class EntryReader<Value> {
  readonly #options: StoreOptions<Value>
  readonly #keys: CacheKeys
  readonly #stamp: readonly Dependency[]
  readonly #generationKeys: readonly string[]

  constructor(options: StoreOptions<Value>, keys: CacheKeys) {
    this.#options = options
    this.#keys = keys
    this.#stamp = stampOf(options)
    this.#generationKeys = keys.generations.map(keys.version)
  }

  /** `lease`: whether to tell who holds it. */
  async read(client: RedisClient, key: string, tags: readonly string[], lease: boolean): Promise<Reading<Value>> {
    const entryKey = this.#keys.entry(key)
    const { names, versionKeys } = this.#wanted(tags)
    const reader = this.#watch([entryKey], versionKeys)
    try {
      const own = lease ? [entryKey, this.#keys.lease(key)] : [entryKey]
      const replies = await mget(client, own, versionKeys)
      const [frame] = replies
      const current = new Map<string, string | undefined>()
      for (const [index, name] of names.entries()) current.set(name, textOf(replies[own.length + index]))
      const token = lease ? textOf(replies[1])?.slice(0, TOKEN_LENGTH) : undefined
      const entry = frame === null || frame === undefined ? undefined : decodeEntry(frame)
      if (entry?.dependencies.some(({ name }) => name !== STAMP && !current.has(name))) {
        await this.#complete(client, current, entry.dependencies, reader)
      }
      const reading = this.#judge(entryKey, { frame, entry, current, lease: token, reader })
      return reading instanceof Promise ? await reading : reading
    } finally {
      reader?.end()
    }
  }

  async readMany(client: RedisClient, keys: readonly string[], tags: readonly string[]): Promise<Reading<Value>[]> {
    const entryKeys = keys.map(this.#keys.entry)
    const { names, versionKeys } = this.#wanted(tags)
    const reader = this.#watch(entryKeys, versionKeys)
    try {
      const [frames, versions] = await Promise.all([mgetMany(client, entryKeys), client.mgetBuffer([...versionKeys])])
      const current = new Map(names.map((name, index) => [name, textOf(versions[index])]))
      const entries = frames.map((frame) => (frame === null ? undefined : decodeEntry(frame)))
      await this.#complete(
        client,
        current,
        entries.flatMap((entry) => entry?.dependencies ?? []),
        reader,
      )
      return await Promise.all(
        entryKeys.map((entryKey, index) =>
          this.#judge(entryKey, { frame: frames[index], entry: entries[index], current, lease: undefined, reader }),
        ),
      )
    } finally {
      reader?.end()
    }
  }

  /** What is known of an entry; a promise only where decoding takes one. */
  #judge(
    entryKey: string,
    {
      frame,
      entry,
      current,
      lease,
      reader,
    }: {
      frame: Buffer | null | undefined
      entry: Entry | undefined
      current: Map<string, string | undefined>
      lease: string | undefined
      reader: Reader | undefined
    },
  ): Reading<Value> | Promise<Reading<Value>> {
    if (frame === null || frame === undefined) return { state: 'absent', lease, versions: current, mark: NO_MARK }
    const around = { lease, versions: current, mark: frame.subarray(4, 12) }
    if (entry === undefined) return this.#corrupt('an entry is not a frame of this version', around)
    if (!this.#isValid(entry, current)) return { state: 'absent', ...around }
    const decoded = this.#options.decode(entry)
    if (!(decoded instanceof Promise)) return this.#found(entryKey, entry, decoded, around, reader)
    return decoded.then((done) => this.#found(entryKey, entry, done, around, reader))
  }

  #isValid({ dependencies }: Entry, current: ReadonlyMap<string, string | undefined>): boolean {
    for (const { name, version } of dependencies) {
      if (name !== STAMP && current.get(name) !== version) return false
    }
    const stamp = dependencies.find(({ name }) => name === STAMP)?.version
    return stamp === this.#stamp[0]?.version
  }

  #found(
    key: string,
    entry: Entry,
    decoded: Decoded<Value> | undefined,
    around: Surroundings,
    reader: Reader | undefined,
  ): Reading<Value> {
    if (decoded === undefined) return this.#corrupt('an entry cannot be decoded', around)
    const { value, bytes } = decoded
    const { local } = this.#options
    if (local !== undefined && reader?.unchanged) {
      const dependencies = entry.dependencies.filter(({ name }) => name !== STAMP)
      const how = { bytes, capMs: local.capMs(), versionKey: this.#keys.version }
      local.tier.keep(key, { ...entry, dependencies }, value, how)
    }
    const { createdAt, freshUntil, staleUntil, metadata } = entry
    return { state: 'found', resident: { key, value, createdAt, freshUntil, staleUntil, metadata }, ...around }
  }

  #corrupt(problem: string, around: Surroundings): Reading<Value> {
    const { redis, feature } = this.#options
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

  #watch(entryKeys: readonly string[], versionKeys: readonly string[]): Reader | undefined {
    const { local } = this.#options
    if (!local?.tier.open) return undefined
    const reader = local.tier.reader()
    for (const key of entryKeys) reader.watch(key)
    for (const key of versionKeys) reader.watch(key)
    return reader
  }

  #wanted(tags: readonly string[]): { readonly names: readonly string[]; readonly versionKeys: readonly string[] } {
    const { generations, version } = this.#keys
    if (tags.length === 0) return { names: generations, versionKeys: this.#generationKeys }
    const own = [...new Set(tags.map(tagName))]
    return { names: [...generations, ...own], versionKeys: [...this.#generationKeys, ...own.map(version)] }
  }
}

/** What every entry of this version of the program depends on. */
export function stampOf({ stamp }: { readonly stamp?: string | undefined }): readonly Dependency[] {
  return stamp === undefined ? [] : [{ name: STAMP, version: stamp }]
}

function textOf(bytes: Buffer | null | undefined): string | undefined {
  return bytes?.toString('latin1')
}
