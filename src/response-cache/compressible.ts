import { parseCacheControl } from './cache-control.js'
import type { Head } from './capture.js'
import { valuesOf } from './headers.js'
import { parseVary } from './vary.js'

const TEXT =
  /^\s*(?:text\/|[^;]*[/+-](?:json|ndjson|javascript|ecmascript|xml|yaml|graphql|wasm|ttf|otf|fontobject|rtf)\s*(?:;|$))/i
/** Say something of the very bytes (RFC 9530; RFC 1864). */
const DIGESTS = ['content-digest', 'repr-digest', 'digest', 'content-md5'] as const

/** What is shorter fits into a packet or two anyway; what is longer would keep Redis busy while it is put together. */
const MIN_BYTES = 1024
const MAX_BYTES = 8 * 1024 * 1024

/** Whether a plain answer may be kept in encodings too. Without `size` as far as its head tells. */
export function isCompressible({ status, headers }: Head, size?: number): boolean {
  const bytes = size ?? Number(valuesOf(headers, 'content-length')[0] ?? MIN_BYTES)
  return (
    status === 200 &&
    bytes >= MIN_BYTES &&
    bytes <= MAX_BYTES &&
    TEXT.test(valuesOf(headers, 'content-type')[0] ?? '') &&
    valuesOf(headers, 'content-encoding').length === 0 &&
    // The handler, or what stands before it, looks after encodings itself.
    !parseVary(valuesOf(headers, 'vary')).includes('accept-encoding') &&
    !parseCacheControl(valuesOf(headers, 'cache-control')).has('no-transform') &&
    DIGESTS.every((name) => valuesOf(headers, name).length === 0)
  )
}
