import { createHash } from 'node:crypto'
import { splitList } from './cache-control.js'

type RequestHeaders = Readonly<Record<string, string | string[] | undefined>>

/** More names than this are a mistake or an attack: such a response is treated as `Vary: *`. */
const MAX_NAMES = 16

/** Lower-case names in order, without repetition; `'*'` where no request can be known to match (RFC 9110 §12.5.5). */
export function parseVary(values: readonly string[]): readonly string[] | '*' {
  const names = new Set(values.flatMap(splitList).map((name) => name.toLowerCase()))
  if (names.has('*') || names.size > MAX_NAMES) return '*'
  return [...names].sort()
}

/**
 * Names that select a variant from now on. They only grow, so that responses which disagree about Vary do not push each
 * other out; where they would grow past all measure the latest response decides.
 */
export function joinedNames(known: readonly string[], vary: readonly string[]): readonly string[] {
  const all = new Set([...known, ...vary])
  return all.size > MAX_NAMES ? vary : [...all].sort()
}

/** Which stored variant answers a request: a digest of the named headers' values. */
export function variantOf(names: readonly string[], headers: RequestHeaders): string {
  const hash = createHash('sha256')
  for (const name of names) {
    // A name out of Vary may be one that every object has.
    const value = Object.hasOwn(headers, name) ? headers[name] : undefined
    const text = value === undefined ? undefined : Array.isArray(value) ? value.join(', ') : value
    const normal = text === undefined ? undefined : normalise(name, text)
    hash.update(`${name.length}:${name}${normal === undefined ? '-' : `${normal.length}:${normal}`}`)
  }
  return hash.digest('base64url')
}

/** Values that mean the same, written the same (RFC 9111 §4.1). */
function normalise(name: string, value: string): string {
  if (name === 'accept-encoding') return encodings(value)
  // Language tags have no case (RFC 5646 §2.1.1); their order is kept, since negotiators take it for preference.
  const text = name === 'accept-language' ? value.toLowerCase() : value
  return text
    .trim()
    .replace(/\s*,\s*/g, ',')
    .replace(/[ \t]+/g, ' ')
}

const CODINGS = new Set(['br', 'gzip', 'x-gzip', 'deflate', 'zstd', 'identity', '*'])

/** Browsers list the same codings in different orders; weights that differ decide, so they are kept. */
function encodings(value: string): string {
  const weights = new Map<string, number>()
  for (const item of value.toLowerCase().split(',')) {
    const [coding = '', ...parameters] = item.split(';').map((part) => part.trim())
    const weight = parameters.find((parameter) => parameter.startsWith('q='))
    if (CODINGS.has(coding)) weights.set(coding, weight === undefined ? 1 : Number(weight.slice(2)))
  }
  return [...weights]
    .map(([coding, weight]) => `${coding};${weight}`)
    .sort()
    .join()
}
