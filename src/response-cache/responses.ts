import { createHash } from 'node:crypto'
import { Coherence } from '../cache/coherence.js'
import type { Entry } from '../cache/entry.js'
import { type Mark, markOf, type Snapshot, Store } from '../cache/store.js'
import { LocalTier } from '../cache/tier.js'
import type { RedisManager } from '../redis/index.js'
import type { Head } from './capture.js'
import { type HeaderList, tagsIn, valuesOf } from './headers.js'
import type { Keeping } from './policy.js'
import { decodeStored, encodeStored, type Stored, type StoredHead } from './stored.js'
import { parseVary, variantOf } from './vary.js'

type RequestHeaders = Readonly<Record<string, string | string[] | undefined>>

export interface Found {
  readonly state: 'hit'
  readonly head: StoredHead
  readonly body: Buffer
  /** When it was made, and until when it is fresh; ms since the epoch. */
  readonly birth: number
  readonly freshUntil: number
  /** Request headers that selected it. */
  readonly names: readonly string[]
  readonly key: string
  /** Of the bytes under that key. */
  readonly seen: Mark
}

export interface Missed {
  readonly state: 'miss'
  readonly names: readonly string[]
  /** Where the response would be. */
  readonly key: string
  readonly seen: Mark
}

export type Lookup = Found | Missed | { readonly state: 'away' }

export interface Response {
  readonly resource: string
  readonly requestHeaders: RequestHeaders
  readonly head: Head
  /** What is to be kept of the head. */
  readonly kept: HeaderList
  readonly body: Buffer
  readonly keeping: Keeping
  /** Names by which variants of the resource were told apart so far. */
  readonly names: readonly string[]
}

/** Copies in this process. */
export interface LocalCopies {
  readonly maxBytes: number
  readonly maxAgeMs: number
}

/**
 * Responses in the store. A resource whose responses name no request header in Vary is one entry; otherwise that entry
 * lists the names, and each variant is an entry of its own (RFC 9111 §4.1).
 */
export class Responses {
  readonly store: Store<Entry>
  readonly #redis: RedisManager
  /** Of copies in this process, whose heads are read once. */
  readonly #decoded = new WeakMap<Entry, Stored>()

  constructor(redis: RedisManager, namespace: string, local: LocalCopies | undefined) {
    this.#redis = redis
    const tier = local === undefined ? undefined : new LocalTier<Entry>(local.maxBytes)
    let coherence: Coherence | undefined
    this.store = new Store({
      redis,
      feature: 'responses',
      namespace,
      decode: (entry) => {
        // The reply is a slice of a larger buffer, which a copy that is kept would keep alive.
        const value =
          tier === undefined
            ? entry
            : { ...entry, body: Buffer.from(entry.body), metadata: Buffer.from(entry.metadata) }
        return { value, bytes: entry.body.length + entry.metadata.length }
      },
      local: tier === undefined || local === undefined ? undefined : { tier, capMs: () => local.maxAgeMs },
      publishes: () => coherence !== undefined && coherence.mode !== 'tracking',
    })
    if (tier !== undefined) {
      coherence = new Coherence({ redis, feature: 'responses', bus: this.store.bus, tier, want: 'tracking' })
    }
  }

  async find(resource: string, requestHeaders: RequestHeaders, tags: readonly string[], now: number): Promise<Lookup> {
    let key = resource
    let names: readonly string[] = []
    for (;;) {
      const copy = this.store.peek(this.store.entryKey(key), now)
      const reading = copy === undefined ? await this.store.read(key, tags) : undefined
      if (reading?.state === 'away') return { state: 'away' }
      if (reading?.state === 'absent') return { state: 'miss', names, key, seen: reading.mark }
      const { value } = copy ?? (reading as Extract<typeof reading, { state: 'found' }>).resident
      const { metadata, body, createdAt, freshUntil, staleUntil } = value
      const seen = markOf(value)
      const miss: Missed = { state: 'miss', names, key, seen }
      const stored = this.#decoded.get(value) ?? decodeStored(metadata)
      if (stored === undefined) {
        this.#redis.emit('data.corrupt', { feature: 'responses', problem: 'the metadata is not of a response' })
        return miss
      }
      if (copy !== undefined) this.#decoded.set(value, stored)
      if (staleUntil <= now) return miss
      if (stored.kind === 'response') {
        return { state: 'hit', head: stored.head, body, birth: createdAt, freshUntil, names, key, seen }
      }
      // A list of names under a variant would lead nowhere.
      if (key !== resource) return miss
      names = stored.names
      key = variantKey(resource, names, requestHeaders)
    }
  }

  async save(response: Response, before: Snapshot, now: number): Promise<boolean> {
    const { resource, head, kept, body, keeping } = response
    const { lifetimeMs, afterlifeMs, birth, isPublic, stale, without } = keeping
    const snapshot = await this.store.extend(before, tagsIn(head.headers), lifetimeMs + afterlifeMs)
    if (snapshot === undefined) return false
    const names = variantNames(response)
    const until = now + lifetimeMs
    const times = { flags: 0, createdAt: birth, freshUntil: until, staleUntil: until + afterlifeMs }
    const listed = kept.filter(([name]) => !without.includes(name.toLowerCase()))
    const headers = withValidator(listed, head.status, body)
    const ownEtag = headers.length > listed.length
    const metadata = encodeStored({
      kind: 'response',
      head: { status: head.status, headers, isPublic, stale, ownEtag },
    })
    if (names.length === 0) return this.store.write(resource, { ...times, metadata, body }, snapshot)
    const index = encodeStored({ kind: 'variants', names })
    const written = await Promise.all([
      this.store.write(variantKey(resource, names, response.requestHeaders), { ...times, metadata, body }, snapshot),
      this.store.write(resource, { ...times, metadata: index, body: Buffer.alloc(0) }, snapshot),
    ])
    return written.every(Boolean)
  }
}

function variantKey(resource: string, names: readonly string[], headers: RequestHeaders): string {
  return `${resource}.${variantOf(names, headers)}`
}

/** Names only grow, so that responses which disagree about Vary do not push each other out. */
function variantNames({ head, names }: Response): string[] {
  const vary = parseVary(valuesOf(head.headers, 'vary'))
  const all = new Set([...names, ...vary])
  if (valuesOf(head.headers, 'content-encoding').length > 0) all.add('accept-encoding')
  return [...all].sort()
}

/** A validator of our own where the handler gave none; weak, since compression may still change the bytes. */
function withValidator(headers: HeaderList, status: number, body: Buffer): HeaderList {
  if (status !== 200 || valuesOf(headers, 'etag').length > 0) return headers
  return [...headers, ['ETag', `W/"${createHash('sha1').update(body).digest('base64url')}"`]]
}
