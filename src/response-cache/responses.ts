import { hash } from 'node:crypto'
import { Coherence } from '../cache/coherence.js'
import { markOf, type Snapshot, Store } from '../cache/store.js'
import { LocalTier } from '../cache/tier.js'
import type { RedisManager } from '../redis/index.js'
import { Memo } from '../shared/memo.js'
import type { Head } from './capture.js'
import { isCompressible } from './compressible.js'
import { PLAIN } from './encoded.js'
import { Found, type Lookup, type Resource } from './found.js'
import { type HeaderList, valuesOf } from './headers.js'
import { Heads, type Kept } from './kept.js'
import { joinedParts, resourceKey, sharedAuthority, urlTag } from './key.js'
import { tagsIn } from './labels.js'
import type { Keeping } from './policy.js'
import { encodeStored } from './stored.js'
import { authorityOf, type Target } from './target.js'
import { Variants } from './variants.js'
import { joinedNames, parseVary, variantOf } from './vary.js'

type RequestHeaders = Readonly<Record<string, string | string[] | undefined>>

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
  readonly compress: boolean
}

/**
 * Responses in the store. A resource whose responses name no request header in Vary is one entry; otherwise that entry
 * lists the names, and each variant is an entry of its own (RFC 9111 §4.1).
 */
export class Responses {
  readonly store: Store<Kept>
  readonly #resources = new Memo<Resource>(1000, 512)
  readonly #variantKeys = new Memo<string>(500, 512)
  readonly #variants: Variants
  readonly #isLocal: boolean
  readonly #tags: readonly string[]
  readonly #compress: boolean

  constructor({ redis, namespace, local, maxVariants, tags, compress }: ResponsesOptions) {
    this.#tags = tags
    this.#compress = compress
    const tier = local === undefined ? undefined : new LocalTier<Kept>(local.maxBytes)
    this.#isLocal = tier !== undefined
    let coherence: Coherence | undefined
    const heads = new Heads()
    this.store = new Store({
      redis,
      feature: 'responses',
      namespace,
      decode: (entry, kept) => heads.decode(entry, kept),
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

  /** Whether an answer with that head will vary by encoding, as far as can be said before its body. */
  divides(head: Head, size?: number): boolean {
    return this.#compress && isCompressible(head, size)
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
      head: {
        status: head.status,
        headers,
        ...(removed.length > 0 && { removed }),
        isPublic,
        stale,
        ownEtag,
        ...(this.divides(head, body.length) && { encodings: [[PLAIN, body.length]] }),
      },
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
}

/** Told apart from one that is missing. */
function sentValue(headers: RequestHeaders, name: string): string {
  return Object.hasOwn(headers, name) ? `=${headers[name]}` : ''
}

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
  return [...headers, ['ETag', `W/"${hash('sha1', body, 'base64url')}"`]]
}
