/** What an object takes besides what it holds, roughly as V8 lays it out. */
const OBJECT = 56
const SLOT = 8

/**
 * Freezes plain data through and through and estimates its memory in bytes. `undefined` for what freezing does not
 * protect (dates, maps, buffers): such values are handed out as copies.
 */
export function freezeDeep(value: unknown): number | undefined {
  switch (typeof value) {
    case 'string':
      return 24 + 2 * value.length
    case 'object':
      break
    case 'function':
    case 'symbol':
      return undefined
    default:
      return 16
  }
  if (value === null) return SLOT
  if (!Array.isArray(value)) {
    const prototype = Object.getPrototypeOf(value)
    if (prototype !== null && Object.getPrototypeOf(prototype) !== null) return undefined
  }
  // Frozen before it is entered, so that a cycle ends.
  if (Object.isFrozen(value)) return OBJECT
  Object.freeze(value)
  let bytes = OBJECT
  for (const each of Array.isArray(value) ? value : Object.values(value)) {
    const inner = freezeDeep(each)
    if (inner === undefined) return undefined
    bytes += SLOT + inner
  }
  return bytes
}
