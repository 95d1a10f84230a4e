import { TOKEN } from './cache-control.js'
import type { HeaderList } from './headers.js'

/** Encodings whose bodies lie one behind the other, and their lengths; 0 where the body is not worth it. */
export type Division = readonly (readonly [encoding: string, bytes: number])[]

/** What is kept of a response besides its body. */
export interface StoredHead {
  readonly status: number
  readonly headers: HeaderList
  /** Names, in lower case, of headers that earlier middlewares had set and the handler took away. */
  readonly removed?: readonly string[] | undefined
  /** May be shown to any request: the response said `public` or `s-maxage`. */
  readonly isPublic: boolean
  readonly stale: Stale
  /** The ETag is one this cache made: it says nothing to the handler. */
  readonly ownEtag: boolean
  /** Where it may be kept in encodings: those it is kept in, the plain one first. */
  readonly encodings?: Division | undefined
}

/** What may be done with a response that is no longer fresh. */
export interface Stale {
  /** Anything at all: no directive forbids it (RFC 9111 §4.2.4). */
  readonly allowed: boolean
  readonly whileRevalidateMs: number
  readonly ifErrorMs: number
  /** Stands in for a handler that cannot reach its own origin, for as long as it is kept. */
  readonly ifGone: boolean
}

/** Either a response, or the names of the request headers that select one of several. */
export type Stored =
  | { readonly kind: 'response'; readonly head: StoredHead }
  | { readonly kind: 'variants'; readonly names: readonly string[] }

export function encodeStored(stored: Stored): Buffer {
  return Buffer.from(JSON.stringify(stored))
}

/** `undefined` for anything that was not written by {@link encodeStored}, whoever put it there. */
export function decodeStored(metadata: Buffer): Stored | undefined {
  let value: unknown
  try {
    value = JSON.parse(metadata.toString())
  } catch {
    return undefined
  }
  if (!isRecord(value)) return undefined
  if (value.kind === 'variants') return isStrings(value.names) ? (value as Stored) : undefined
  if (value.kind !== 'response' || !isRecord(value.head)) return undefined
  const { status, headers, removed, isPublic, stale, ownEtag, encodings } = value.head
  const valid =
    Number.isInteger(status) &&
    Number(status) >= 200 &&
    Number(status) <= 599 &&
    [isPublic, ownEtag].every((each) => typeof each === 'boolean') &&
    (removed === undefined || isStrings(removed)) &&
    (encodings === undefined || (Array.isArray(encodings) && encodings.every(isPart))) &&
    isStale(stale)
  return valid && Array.isArray(headers) && headers.every(isHeader) ? (value as Stored) : undefined
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

function isStale(value: unknown): boolean {
  if (!isRecord(value)) return false
  const { allowed, ifGone, whileRevalidateMs, ifErrorMs } = value
  return (
    [allowed, ifGone].every((each) => typeof each === 'boolean') &&
    [whileRevalidateMs, ifErrorMs].every((each) => typeof each === 'number' && each >= 0)
  )
}

function isPart(value: unknown): boolean {
  if (!Array.isArray(value) || value.length !== 2) return false
  const [encoding, bytes] = value
  return typeof encoding === 'string' && TOKEN.test(encoding) && Number.isInteger(bytes) && bytes >= 0
}

function isStrings(value: unknown): boolean {
  return Array.isArray(value) && value.every((each) => typeof each === 'string')
}

function isHeader(value: unknown): boolean {
  return (
    Array.isArray(value) &&
    value.length === 2 &&
    TOKEN.test(String(value[0])) &&
    (isStrings(value[1]) ? (value[1] as string[]) : [value[1]]).every(isFieldValue)
  )
}

function isFieldValue(value: unknown): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not pass into a header
  return typeof value === 'string' && !/[\x00-\x08\x0a-\x1f\x7f]|[^\x00-\xff]/.test(value)
}
