import { isAscii } from 'node:buffer'
import { createHash } from 'node:crypto'
import { Coherence } from '../cache/coherence.js'
import type { Entry } from '../cache/entry.js'
import { type Decoded, type Mark, markOf, type Snapshot, Store } from '../cache/store.js'
import { LocalTier } from '../cache/tier.js'
import type { RedisManager } from '../redis/index.js'
import type { Head } from './capture.js'
import { type HeaderList, valuesOf } from './headers.js'
import { joinedParts, resourceKey, sharedAuthority, urlTag } from './key.js'
import { tagsIn } from './labels.js'
import { Memo } from './memo.js'
import type { Keeping } from './policy.js'
import { type Prepared, prepare } from './prepared.js'
import { decodeStored, encodeStored, type StoredHead } from './stored.js'
import { authorityOf, type Target } from './target.js'
import { Variants } from './variants.js'
import { joinedNames, parseVary, variantOf } from './vary.js'

type RequestHeaders = Readonly<Record<string, string | string[] | undefined>>

/** A response as every hit uses it. */
export interface Kept {
  readonly stored: DecodedHead
  readonly body: Buffer
  /** A short body of ASCII, which Node sends together with the head, in one piece. */
  readonly text: string | undefined
  /** When it was made, and until when it is fresh; ms since the epoch. */
  readonly createdAt: number
  readonly freshUntil: number
  readonly staleUntil: number
}

/** What the metadata of an entry says: one of a few texts, each read once. */
type DecodedHead =
  | { readonly kind: 'response'; readonly head: StoredHead; readonly prepared: Prepared }
  | { readonly kind: 'variants'; readonly names: readonly string[] }

/** What is asked for, whichever of its variants. */
export interface Resource {
  readonly key: string
  readonly entryKey: string
  readonly urlTag: string
  /** Those that every response has here, and its own. */
  readonly tags: readonly string[]
}

export class Found {
  readonly state = 'hit'
  readonly head: StoredHead
  readonly prepared: Prepared
  readonly body: Buffer
  readonly text: string | undefined
  /** When it was made, and until when it is fresh; ms since the epoch. */
  readonly birth: number
  readonly freshUntil: number
  /** Request headers that selected it. */
  readonly names: readonly string[]
  readonly key: string

  constructor(
    { head, prepared }: Extract<DecodedHead, { kind: 'response' }>,
    kept: Kept,
    names: readonly string[],
    key: string,
  ) {
    this.head = head
    this.prepared = prepared
    this.body = kept.body
    this.text = kept.text
    this.birth = kept.createdAt
    this.freshUntil = kept.freshUntil
    this.names = names
    this.key = key
  }

  /** Of the bytes under that key. */
  get seen(): Mark {
    return markOf({ createdAt: this.birth })
  }
}

export interface Missed {
  readonly state: 'miss'
  readonly names: readonly string[]
  /** Where the response would be. */
  readonly key: string
  readonly seen: Mark
  /** From the read itself, where that was asked for. */
  readonly snapshot?: Snapshot | undefined
}

export type Lookup = Found | Missed | { readonly state: 'away' }

export interface Response {
  readonly resource: string
  readonly requestHeaders: RequestHeaders
  readonly head: Head
  /** What is to be kept of the head. */
  readonly kept: HeaderList
  /** Names of what earlier middlewares had set and the handler took away. */
  readonly removed: readonly string[]
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

export interface ResponsesOptions {
  readonly redis: RedisManager
  readonly namespace: string
  readonly local: LocalCopies | undefined
  /** Stored per resource. */
  readonly maxVariants: number
  /** Of every response. */
  readonly tags: readonly string[]
}

/**
 * Responses in the store. A resource whose responses name no request header in Vary is one entry; otherwise that entry
 * lists the names, and each variant is an entry of its own (RFC 9111 §4.1).
 */
export class Responses {
  readonly store: Store<Kept>
  readonly #resources = new Memo<Resource>(1000, 512)
  readonly #heads = new Memo<DecodedHead>(200, 2048)
  readonly #variantKeys = new Memo<string>(500, 512)
  readonly #variants: Variants
  readonly #isLocal: boolean
  readonly #tags: readonly string[]

  constructor({ redis, namespace, local, maxVariants, tags }: ResponsesOptions) {
    this.#tags = tags
    const tier = local === undefined ? undefined : new LocalTier<Kept>(local.maxBytes)
    this.#isLocal = tier !== undefined
    let coherence: Coherence | undefined
    this.store = new Store({
      redis,
      feature: 'responses',
      namespace,
      decode: (entry, kept) => this.#decode(entry, kept),
      local: tier === undefined || local === undefined ? undefined : { tier, capMs: () => local.maxAgeMs },
      publishes: () => coherence !== undefined && coherence.mode !== 'tracking',
    })
    const entryKey = (key: string): string => this.store.entryKey(key)
    this.#variants = new Variants({ redis, namespace, max: maxVariants, entryKey })
    if (tier !== undefined) {
      coherence = new Coherence({ redis, feature: 'responses', bus: this.store.bus, tier, want: 'tracking' })
    }
  }

  /** `extra`: parts of the key that are the caller's own. */
  resource(target: Target, extra: readonly string[]): Resource {
    const { protocol, host, url, localPort } = target
    const text = joinedParts([protocol, host, url, localPort ?? 0, ...extra])
    const known = this.#resources.get(text)
    if (known !== undefined) return known
    const authority = sharedAuthority(authorityOf(target), localPort)
    const key = resourceKey({ protocol, authority, url, extra })
    const tag = urlTag(url)
    const resource = { key, entryKey: this.store.entryKey(key), urlTag: tag, tags: [...this.#tags, tag] }
    this.#resources.set(text, resource)
    return resource
  }

  /** What this process holds a copy of. */
  peek({ key, entryKey }: Resource, requestHeaders: RequestHeaders, now: number): Found | undefined {
    if (!this.#isLocal) return undefined
    const copy = this.store.peek(entryKey, now)?.value
    if (copy === undefined || copy.staleUntil <= now) return undefined
    if (copy.stored.kind === 'response') return new Found(copy.stored, copy, NO_NAMES, key)
    const { names } = copy.stored
    const variant = this.#variantKey(key, names, requestHeaders)
    const chosen = this.store.peek(this.store.entryKey(variant), now)?.value
    if (chosen?.stored.kind !== 'response' || chosen.staleUntil <= now) return undefined
    return new Found(chosen.stored, chosen, names, variant)
  }

  /** `unlikely`: nothing is expected to be found, or stored; the read brings the snapshot along. */
  async find(
    resource: Resource,
    requestHeaders: RequestHeaders,
    tags: readonly string[],
    now: number,
    unlikely: boolean = false,
  ): Promise<Lookup> {
    let { key } = resource
    let names = NO_NAMES
    for (;;) {
      const copy = this.store.peek(this.store.entryKey(key), now)
      const reading = copy === undefined ? await this.store.read(key, tags, false, unlikely) : undefined
      if (reading?.state === 'away') return { state: 'away' }
      if (reading?.state === 'absent') {
        const snapshot = unlikely ? this.store.seen(reading.versions, tags) : undefined
        return { state: 'miss', names, key, seen: reading.mark, snapshot }
      }
      const { value } = copy ?? (reading as Extract<typeof reading, { state: 'found' }>).resident
      const { stored, staleUntil } = value
      if (staleUntil > now && stored.kind === 'response') return new Found(stored, value, names, key)
      // A list of names under a variant would lead nowhere.
      if (staleUntil <= now || stored.kind !== 'variants' || key !== resource.key) {
        return { state: 'miss', names, key, seen: markOf(value) }
      }
      names = stored.names
      key = this.#variantKey(resource.key, names, requestHeaders)
    }
  }

  /** Whether it is what these headers would be answered with, and not another variant. */
  isFor({ key }: Resource, requestHeaders: RequestHeaders, found: Lookup): boolean {
    if (found.state === 'away' || found.names.length === 0) return true
    return found.key === this.#variantKey(key, found.names, requestHeaders)
  }

  async save(response: Response, before: Snapshot, now: number): Promise<boolean> {
    const { resource, head, kept, removed, body, keeping } = response
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
      head: { status: head.status, headers, ...(removed.length > 0 && { removed }), isPublic, stale, ownEtag },
    })
    if (names.length === 0) return this.store.write(resource, { ...times, metadata, body }, snapshot)
    const index = encodeStored({ kind: 'variants', names })
    const variant = this.#variantKey(resource, names, response.requestHeaders)
    const written = await Promise.all([
      this.store.write(variant, { ...times, metadata, body }, snapshot),
      this.store.write(resource, { ...times, metadata: index, body: Buffer.alloc(0) }, snapshot),
    ])
    void this.#variants.add(resource, variant, lifetimeMs + afterlifeMs)
    return written.every(Boolean)
  }

  #variantKey(resource: string, names: readonly string[], headers: RequestHeaders): string {
    const text = joinedParts([resource, ...names, ...names.map((name) => sentValue(headers, name))])
    let variant = this.#variantKeys.get(text)
    if (variant === undefined) {
      variant = `${resource}.${variantOf(names, headers)}`
      this.#variantKeys.set(text, variant)
    }
    return variant
  }

  #decode({ metadata, body, createdAt, freshUntil, staleUntil }: Entry, kept: boolean): Decoded<Kept> | undefined {
    const stored = this.#readHead(metadata)
    if (stored === undefined) return undefined
    // The reply is a slice of a larger buffer, which a copy that is kept would keep alive.
    const own = kept ? Buffer.from(body) : body
    const text = body.length <= MAX_TEXT && isAscii(body) ? body.toString('latin1') : undefined
    const value = { stored, body: own, text, createdAt, freshUntil, staleUntil }
    return { value, bytes: body.length + (text?.length ?? 0) + metadata.length }
  }

  #readHead(metadata: Buffer): DecodedHead | undefined {
    const text = metadata.toString('latin1')
    const known = this.#heads.get(text)
    if (known !== undefined) return known
    const stored = decodeStored(metadata)
    if (stored === undefined) return undefined
    const head =
      stored.kind === 'variants' ? stored : { ...stored, prepared: prepare(stored.head.headers, stored.head.removed) }
    this.#heads.set(text, head)
    return head
  }
}

/** Told apart from one that is missing. */
function sentValue(headers: RequestHeaders, name: string): string {
  return Object.hasOwn(headers, name) ? `=${headers[name]}` : ''
}

/** Longer ones are sent without being copied. */
const MAX_TEXT = 8192

const NO_NAMES: readonly string[] = []

function variantNames({ head, names }: Response): readonly string[] {
  const vary = parseVary(valuesOf(head.headers, 'vary'))
  const named = vary === '*' ? NO_NAMES : vary
  const encoded = valuesOf(head.headers, 'content-encoding').length > 0
  return joinedNames(names, encoded ? [...new Set([...named, 'accept-encoding'])].sort() : named)
}

/** A validator of our own where the handler gave none; weak, since compression may still change the bytes. */
function withValidator(headers: HeaderList, status: number, body: Buffer): HeaderList {
  if (status !== 200 || valuesOf(headers, 'etag').length > 0) return headers
  return [...headers, ['ETag', `W/"${createHash('sha1').update(body).digest('base64url')}"`]]
}
