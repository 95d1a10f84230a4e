import { createHash } from 'node:crypto'
import type { Entry } from '../cache/entry.js'
import { type Snapshot, Store } from '../cache/store.js'
import type { RedisManager } from '../redis/index.js'
import type { Head } from './capture.js'
import { type HeaderList, storedHeaders, valuesOf } from './headers.js'
import { decodeStored, encodeStored, type StoredHead } from './stored.js'
import { parseVary, variantOf } from './vary.js'

type RequestHeaders = Readonly<Record<string, string | string[] | undefined>>

export interface Found {
  readonly state: 'hit'
  readonly head: StoredHead
  readonly body: Buffer
  readonly createdAt: number
  /** Request headers that selected it. */
  readonly names: readonly string[]
}

export type Lookup = Found | { readonly state: 'miss'; readonly names: readonly string[] } | { readonly state: 'away' }

export interface Response {
  readonly resource: string
  readonly requestHeaders: RequestHeaders
  readonly head: Head
  readonly before: ReadonlyMap<string, string>
  readonly body: Buffer
  readonly lifetimeMs: number
  readonly isPublic: boolean
  /** Names by which variants of the resource were told apart so far. */
  readonly names: readonly string[]
}

/**
 * Responses in the store. A resource whose responses name no request header in Vary is one entry; otherwise that entry
 * lists the names, and each variant is an entry of its own (RFC 9111 §4.1).
 */
export class Responses {
  readonly store: Store<Entry>
  readonly #redis: RedisManager

  constructor(redis: RedisManager, namespace: string) {
    this.#redis = redis
    const decode = (entry: Entry) => ({ value: entry, bytes: entry.body.length })
    this.store = new Store({ redis, feature: 'responses', namespace, decode })
  }

  async find(resource: string, requestHeaders: RequestHeaders, tags: readonly string[], now: number): Promise<Lookup> {
    let key = resource
    let names: readonly string[] = []
    for (;;) {
      const reading = await this.store.read(key, tags)
      if (reading.state === 'away') return { state: 'away' }
      if (reading.state === 'absent') return { state: 'miss', names }
      const { metadata, body, createdAt, freshUntil } = reading.resident.value
      if (freshUntil <= now) return { state: 'miss', names }
      const stored = decodeStored(metadata)
      if (stored === undefined) {
        this.#redis.emit('data.corrupt', { feature: 'responses', problem: 'the metadata is not of a response' })
        return { state: 'miss', names }
      }
      if (stored.kind === 'response') return { state: 'hit', head: stored.head, body, createdAt, names }
      // A list of names under a variant would lead nowhere.
      if (key !== resource) return { state: 'miss', names }
      names = stored.names
      key = variantKey(resource, names, requestHeaders)
    }
  }

  async save(response: Response, snapshot: Snapshot, now: number): Promise<boolean> {
    const { resource, head, before, body, lifetimeMs, isPublic } = response
    const names = variantNames(response)
    const until = now + lifetimeMs
    const common = { flags: 0, createdAt: now, freshUntil: until, staleUntil: until }
    const headers = withValidator(storedHeaders(head.headers, before), head.status, body)
    const metadata = encodeStored({ kind: 'response', head: { status: head.status, headers, isPublic } })
    if (names.length === 0) return this.store.write(resource, { ...common, metadata, body }, snapshot)
    const index = encodeStored({ kind: 'variants', names })
    const written = await Promise.all([
      this.store.write(variantKey(resource, names, response.requestHeaders), { ...common, metadata, body }, snapshot),
      this.store.write(resource, { ...common, metadata: index, body: Buffer.alloc(0) }, snapshot),
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
