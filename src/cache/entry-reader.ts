import type { RedisClient } from '../redis/index.js'
import { DependencyLists, decodeEntry, type Entry } from './entry.js'
import { type CacheKeys, STAMP, tagName } from './keyspace.js'
import { mget, mgetMany } from './mget.js'
import { absent, FoundReading, type Reading, type Surroundings } from './reading.js'
import { TOKEN_LENGTH } from './scripts.js'
import { type Decoded, type StoreOptions, stampOf } from './store-types.js'
import { EPOCH, textOf, Versions } from './versions.js'

/** Versions to read along with an entry. */
interface Wanted {
  readonly names: readonly string[]
  readonly keys: readonly string[]
}

/** Reads entries with the versions they depend on, and keeps a copy of what is still true when it has arrived. */
export class EntryReader<Value> {
  readonly #options: StoreOptions<Value>
  readonly #keys: CacheKeys
  readonly #stamp: string | undefined
  readonly #generationKeys: readonly string[]
  readonly #lists = new DependencyLists()
  /** For lists that are passed again. One that was changed since costs a second command, as any unnamed tag does. */
  readonly #wantedFor = new WeakMap<readonly string[], Wanted>()

  constructor(options: StoreOptions<Value>, keys: CacheKeys) {
    this.#options = options
    this.#keys = keys
    this.#stamp = stampOf(options)[0]?.version
    this.#generationKeys = keys.generations.map(keys.version)
  }

  /** `lease`: whether to tell who holds it. `epoch`: whether to read it along. */
  read(
    client: RedisClient,
    key: string,
    tags: readonly string[],
    lease: boolean,
    epoch: boolean,
  ): Promise<Reading<Value>> {
    const entryKey = this.#keys.entry(key)
    const own = lease ? [entryKey, this.#keys.lease(key)] : [entryKey]
    const wanted = epoch ? this.#withEpoch(tags) : this.#wanted(tags)
    const tier = this.#openTier()
    const begun = tier?.beginRead()
    const reading = mget(client, own, wanted.keys).then((replies) => {
      const frame = replies[0]
      const versions = new Versions(wanted.names, replies, own.length)
      const holder = lease ? textOf(replies[1])?.slice(0, TOKEN_LENGTH) : undefined
      if (frame === null || frame === undefined) return absent<Value>({ versions, lease: holder })
      const entry = decodeEntry(frame, this.#lists)
      const around = { versions, lease: holder }
      const missing = missingFrom(versions, entry)
      if (missing === undefined) return this.#judge(entryKey, frame, entry, around, begun)
      return this.#complete(client, versions, missing).then(() => this.#judge(entryKey, frame, entry, around, begun))
    })
    return tier === undefined ? reading : reading.finally(() => tier.endRead())
  }

  async readMany(client: RedisClient, keys: readonly string[], tags: readonly string[]): Promise<Reading<Value>[]> {
    const entryKeys = keys.map(this.#keys.entry)
    const wanted = this.#wanted(tags)
    const tier = this.#openTier()
    const begun = tier?.beginRead()
    try {
      const replies = await mgetMany(client, entryKeys, wanted.keys)
      const versions = new Versions(wanted.names, replies, keys.length)
      const entries = entryKeys.map((_, index) => {
        const frame = replies[index]
        return frame === null || frame === undefined ? undefined : decodeEntry(frame, this.#lists)
      })
      let missing: Set<string> | undefined
      for (const entry of entries) missing = missingFrom(versions, entry, missing)
      if (missing !== undefined) await this.#complete(client, versions, missing)
      const around = { versions, lease: undefined }
      let pending = false
      const readings = entryKeys.map((entryKey, index) => {
        const frame = replies[index]
        if (frame === null || frame === undefined) return absent<Value>(around)
        const reading = this.#judge(entryKey, frame, entries[index], around, begun)
        if (reading instanceof Promise) pending = true
        return reading
      })
      return pending ? await Promise.all(readings) : (readings as Reading<Value>[])
    } finally {
      tier?.endRead()
    }
  }

  /** What is known of an entry; a promise only where decoding takes one. */
  #judge(
    entryKey: string,
    frame: Buffer,
    entry: Entry | undefined,
    around: Surroundings,
    begun: number | undefined,
  ): Reading<Value> | Promise<Reading<Value>> {
    if (entry === undefined) return this.#corrupt('an entry is not a frame of this version', frame, around)
    if (!this.#isValid(entry, around.versions)) return absent(around, frame)
    const decoded = this.#options.decode(entry, begun !== undefined)
    if (!(decoded instanceof Promise)) return this.#found(entryKey, frame, entry, decoded, around, begun)
    return decoded.then((done) => this.#found(entryKey, frame, entry, done, around, begun))
  }

  #isValid({ dependencies }: Entry, versions: Versions): boolean {
    let stamp: string | undefined
    for (const { name, version } of dependencies) {
      if (name === STAMP) stamp = version
      else if (!versions.match(name, version)) return false
    }
    return stamp === this.#stamp
  }

  #found(
    key: string,
    frame: Buffer,
    { dependencies, createdAt, freshUntil, staleUntil }: Entry,
    decoded: Decoded<Value> | undefined,
    around: Surroundings,
    begun: number | undefined,
  ): Reading<Value> {
    if (decoded === undefined) return this.#corrupt('an entry cannot be decoded', frame, around)
    const { value, bytes } = decoded
    const resident = { key, value, createdAt, freshUntil, staleUntil }
    const { local } = this.#options
    if (local !== undefined && begun !== undefined) {
      const keyed = dependencies
        .filter(({ name }) => name !== STAMP)
        .map(({ name, version }) => ({ name: this.#keys.version(name), version }))
      local.tier.keep(resident, begun, { bytes, capMs: local.capMs(), dependencies: keyed })
    }
    return new FoundReading(resident, around)
  }

  #corrupt(problem: string, frame: Buffer, around: Surroundings): Reading<Value> {
    const { redis, feature } = this.#options
    redis.emit('data.corrupt', { feature, problem })
    return absent(around, frame)
  }

  async #complete(client: RedisClient, versions: Versions, missing: ReadonlySet<string>): Promise<void> {
    const names = [...missing]
    versions.add(names, await client.mgetBuffer(names.map(this.#keys.version)))
  }

  /** `undefined` where nothing may be kept: no change is heard now. */
  #openTier() {
    const tier = this.#options.local?.tier
    return tier?.open === true ? tier : undefined
  }

  #withEpoch(tags: readonly string[]): Wanted {
    const { names, keys } = this.#wanted(tags)
    return { names: [...names, EPOCH], keys: [...keys, this.#keys.epoch] }
  }

  #wanted(tags: readonly string[]): Wanted {
    const { generations, version } = this.#keys
    if (tags.length === 0) return { names: generations, keys: this.#generationKeys }
    let wanted = this.#wantedFor.get(tags)
    if (wanted === undefined) {
      const own = [...new Set(tags.map(tagName))]
      wanted = { names: [...generations, ...own], keys: [...this.#generationKeys, ...own.map(version)] }
      this.#wantedFor.set(tags, wanted)
    }
    return wanted
  }
}

/** With the names of versions that the entry needs and that were not read along. */
function missingFrom(versions: Versions, entry: Entry | undefined, missing?: Set<string>): Set<string> | undefined {
  if (entry === undefined) return missing
  let names = missing
  for (const { name } of entry.dependencies) {
    if (name === STAMP || versions.has(name)) continue
    names ??= new Set()
    names.add(name)
  }
  return names
}
