/** Directives by their lower-case name; a directive without an argument has `undefined`. */
export type Directives = ReadonlyMap<string, string | undefined>

const NONE: Directives = new Map()
/** RFC 9110 §5.6.2. */
export const TOKEN: RegExp = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

/**
 * Cache-Control (RFC 9111 §5.2), quoted strings understood. Malformed input must not lose a restriction: the name of a
 * directive counts whatever follows it, and of several ages the smallest counts.
 */
export function parseCacheControl(value: string | readonly string[] | undefined): Directives {
  if (value === undefined) return NONE
  const directives = new Map<string, string | undefined>()
  for (const item of splitList(Array.isArray(value) ? value.join(',') : (value as string))) {
    const equals = item.indexOf('=')
    const name = (equals < 0 ? item : item.slice(0, equals)).trim().toLowerCase()
    // `no-store;foo`, `"private"`: whatever is wrong with it, the restriction was meant.
    const known = TOKEN.test(name) ? name : (/no-store|no-cache|private/.exec(name)?.[0] ?? '')
    if (known === '') continue
    const argument = equals < 0 ? undefined : unquote(item.slice(equals + 1).trim())
    const previous = directives.get(known)
    const repeated = directives.has(known) && previous !== argument
    directives.set(known, repeated ? stricter(previous, argument) : argument)
  }
  return directives
}

/**
 * Seconds in a delta-seconds argument (RFC 9111 §1.2.2). `undefined` where the directive is absent; 0 where its
 * argument is not a number, since a lifetime nobody can read is none.
 */
export function seconds(directives: Directives, name: string): number | undefined {
  if (!directives.has(name)) return undefined
  const argument = directives.get(name) ?? ''
  return /^\d+$/.test(argument) ? Math.min(Number(argument), 2 ** 31) : 0
}

/**
 * Field names in the argument of `private` or `no-cache` (RFC 9111 §5.2.2.4, §5.2.2.7): the restriction is on these
 * fields alone. `undefined` where it is on the whole response, as it also is where the argument cannot be read.
 */
export function fieldNames(directives: Directives, name: 'private' | 'no-cache'): readonly string[] | undefined {
  const names = (directives.get(name) ?? '').split(',').map((each) => each.trim().toLowerCase())
  return names.every((each) => TOKEN.test(each)) ? names : undefined
}

/** Splits at commas outside of quoted strings; where a quote is not closed, at every comma. */
export function splitList(value: string): string[] {
  const items: string[] = []
  let start = 0
  let quoted = false
  for (let at = 0; at < value.length; at++) {
    const character = value[at]
    if (quoted && character === '\\') at++
    else if (character === '"') quoted = !quoted
    else if (character === ',' && !quoted) {
      items.push(value.slice(start, at))
      start = at + 1
    }
  }
  items.push(value.slice(start))
  return (quoted ? value.split(',') : items).map((item) => item.trim()).filter((item) => item !== '')
}

/** A quoted string that does not end, or not where it should, is no argument anyone can read. */
function unquote(text: string): string {
  if (!text.startsWith('"')) return text
  return (/^"((?:[^"\\]|\\.)*)"$/.exec(text)?.[1] ?? '').replace(/\\(.)/g, '$1')
}

function stricter(first: string | undefined, second: string | undefined): string {
  const [a, b] = [first, second].map((each) => (/^\d+$/.test(each ?? '') ? Number(each) : 0))
  return String(Math.min(a as number, b as number))
}
