import { createHash } from 'node:crypto'

/**
 * A short key for a filter: equal for equal content whatever the order of its properties, sets and maps; different for
 * different content and types (`1`, `'1'` and `1n`). A property that is `undefined` counts as absent.
 *
 * Throws a TypeError for functions, symbols, promises, class instances it does not know, and cycles.
 *
 * @example
 * ```ts
 * import { keyOf } from 'holdfast/cache'
 *
 * const same = keyOf({ page: 2, tags: ['a'] }) === keyOf({ tags: ['a'], page: 2 })
 * ```
 */
export function keyOf(filter: unknown): string {
  return createHash('sha256').update(canonical(filter, 0), 'utf16le').digest('base64url')
}

/** Every text carries its length, every kind its letter: no content can look like another's. */
function canonical(value: unknown, depth: number): string {
  if (depth > 500) throw new TypeError('keyOf: a cycle, or deeper than 500 levels')
  const inner = (each: unknown): string => canonical(each, depth + 1)
  switch (typeof value) {
    case 'undefined':
      return 'u'
    case 'boolean':
      return value ? 't' : 'f'
    case 'number':
      return `n${Object.is(value, -0) ? 0 : value};`
    case 'bigint':
      return `i${value};`
    case 'string':
      return `s${value.length}:${value}`
    case 'object':
      break
    default:
      throw new TypeError(`keyOf: a ${typeof value} has no content to compare`)
  }
  if (value === null) return '0'
  if (Array.isArray(value)) return `a${value.length}[${value.map((each) => inner(each)).join('')}]`
  if (value instanceof Date) return `d${value.getTime()};`
  if (value instanceof RegExp) return `r${inner(value.source)}${inner(value.flags)}`
  if (value instanceof URL) return `l${inner(value.href)}`
  if (value instanceof Set) return `e${value.size}[${[...value].map(inner).sort().join('')}]`
  if (value instanceof Map) {
    return `m${value.size}[${[...value]
      .map(([key, each]) => inner(key) + inner(each))
      .sort()
      .join('')}]`
  }
  if (ArrayBuffer.isView(value)) {
    const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('latin1')
    return `b${inner(value.constructor.name)}${inner(bytes)}`
  }
  const prototype = Object.getPrototypeOf(value)
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) {
    throw new TypeError(`keyOf: a ${prototype.constructor?.name ?? 'class instance'} may hold more than it shows`)
  }
  const record = value as Record<string, unknown>
  const names = Object.keys(record)
    .filter((name) => record[name] !== undefined)
    .sort()
  return `o${names.length}{${names.map((name) => inner(name) + inner(record[name])).join('')}}`
}
