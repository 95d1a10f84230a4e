import type { RedisClient } from '../redis/index.js'
import { type Dependency, decodeEntry } from './entry.js'
import { type CacheKeys, STAMP, tagName } from './keyspace.js'
import { mget, mgetMany } from './mget.js'
import { TOKEN_LENGTH } from './scripts.js'
import { NO_MARK, type Reading, type StoreOptions, type Surroundings } from './store-types.js'
import type { Reader } from './tier.js'

/** Reads entries with the versions they depend on, and keeps a copy of what is still true when it has arrived. */
export class EntryReader<Value> {
  readonly #options: StoreOptions<Value>
  readonly #keys: CacheKeys
  readonly #stamp: readonly Dependency[]

  constructor(options: StoreOptions<Value>, keys: CacheKeys) {
    this.#options = options
    this.#keys = keys
    this.#stamp = stampOf(options)
  }

  async read(client: RedisClient, key: string, tags: readonly string[]): Promise<Reading<Value>> {
    const names = this.#namesOf(tags)
    const entryKey = this.#keys.entry(key)
    const reader = this.#watch([entryKey], names)
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
  }

  async readMany(client: RedisClient, keys: readonly string[], tags: readonly string[]): Promise<Reading<Value>[]> {
    const names = this.#namesOf(tags)
    const entryKeys = keys.map(this.#keys.entry)
    const reader = this.#watch(entryKeys, names)
    try {
      const [frames, versions] = await Promise.all([
        mgetMany(client, entryKeys),
        client.mgetBuffer(names.map(this.#keys.version)),
      ])
      const current = new Map(names.map((name, index) => [name, textOf(versions[index])]))
      await this.#complete(client, current, frames.flatMap(dependenciesOf), reader)
      return await Promise.all(
        entryKeys.map((entryKey, index) =>
          this.#judge(client, { entryKey, frame: frames[index], lease: null, current, reader }),
        ),
      )
    } finally {
      reader?.end()
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
    const options = this.#options
    const lease = textOf(leaseBytes)?.slice(0, TOKEN_LENGTH)
    const mark = frame === null || frame === undefined ? NO_MARK : Buffer.from(frame.subarray(4, 12))
    const around = { lease, versions: current, mark }
    if (frame === null || frame === undefined) return { state: 'absent', ...around }
    const entry = decodeEntry(frame)
    if (entry === undefined) return this.#corrupt('an entry is not a frame of this version', around)
    await this.#complete(client, current, entry.dependencies, reader)
    const known = (name: string): string | undefined =>
      this.#stamp.find((each) => each.name === name)?.version ?? current.get(name)
    const valid =
      entry.dependencies.every(({ name, version }) => known(name) === version) &&
      this.#stamp.every((each) => entry.dependencies.some(({ name }) => name === each.name))
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

  #watch(entryKeys: readonly string[], names: readonly string[]): Reader | undefined {
    const { local } = this.#options
    if (!local?.tier.open) return undefined
    const reader = local.tier.reader()
    for (const key of entryKeys) reader.watch(key)
    for (const name of names) reader.watch(this.#keys.version(name))
    return reader
  }

  #namesOf(tags: readonly string[]): string[] {
    return [...this.#keys.generations, ...new Set(tags.map(tagName))]
  }
}

/** What every entry of this version of the program depends on. */
export function stampOf({ stamp }: { readonly stamp?: string | undefined }): readonly Dependency[] {
  return stamp === undefined ? [] : [{ name: STAMP, version: stamp }]
}

function textOf(bytes: Buffer | null | undefined): string | undefined {
  return bytes?.toString('latin1')
}

function dependenciesOf(frame: Buffer | null | undefined): readonly Dependency[] {
  return frame === null || frame === undefined ? [] : (decodeEntry(frame)?.dependencies ?? [])
}
