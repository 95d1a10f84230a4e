/** What an object takes besides what it holds, roughly as V8 lays it out. */
const OBJECT = 56
const SLOT = 8

/**
 * Freezes plain data through and through and estimates its memory. `undefined` for what freezing does not protect
 * (dates, maps, buffers): such values are handed out as copies.
 */
export function freezeDeep(value: unknown): { readonly bytes: number } | undefined {
  switch (typeof value) {
    case 'string':
      return { bytes: 24 + 2 * value.length }
    case 'object':
      break
    case 'function':
    case 'symbol':
      return undefined
    default:
      return { bytes: 16 }
  }
  if (value === null) return { bytes: SLOT }
  const prototype = Object.getPrototypeOf(value)
  const plain = Array.isArray(value) || prototype === null || Object.getPrototypeOf(prototype) === null
  if (!plain) return undefined
  // Frozen before it is entered, so that a cycle ends.
  if (Object.isFrozen(value)) return { bytes: OBJECT }
  Object.freeze(value)
  let bytes = OBJECT
  for (const each of Object.values(value)) {
    const inner = freezeDeep(each)
    if (inner === undefined) return undefined
    bytes += SLOT + inner.bytes
  }
  return { bytes }
}
