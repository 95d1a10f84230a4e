import { deserialize, serialize } from 'node:v8'
import { CacheValueError } from './errors.js'

/** Turns values into bytes and back. What it cannot carry it refuses: `encode` throws. */
export interface CacheCodec {
  /** Kept with every entry: entries of another codec are misses. */
  readonly name: string
  encode(value: unknown): Uint8Array
  decode(bytes: Buffer): unknown
}

/** Plain data only. Refuses what JSON would change in silence: dates, maps, NaN, class instances, holes, cycles. */
export const jsonCodec: CacheCodec = {
  name: 'json',
  encode(value) {
    checkPlain(value, [])
    return Buffer.from(JSON.stringify(value))
  },
  decode: (bytes) => JSON.parse(bytes.toString()),
}

/** Node's structured clone: dates, maps, sets, big integers, typed arrays, cycles. Class instances become plain. */
export const v8Codec: CacheCodec = {
  name: 'v8',
  encode(value) {
    try {
      return serialize(value)
    } catch (error) {
      throw new CacheValueError('the v8 codec cannot carry it', { cause: error })
    }
  },
  decode: (bytes) => deserialize(bytes),
}

const MAX_DEPTH = 500

function checkPlain(value: unknown, path: (string | number)[]): void {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return
    case 'number':
      if (Number.isFinite(value)) return
      return refuse(String(value), path)
    case 'object':
      break
    default:
      return refuse(typeof value, path)
  }
  if (value === null) return
  if (path.length > MAX_DEPTH) return refuse('a cycle, or deeper than 500 levels', [])
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) {
      path.push(index)
      checkPlain(value[index], path)
      path.pop()
    }
    return
  }
  const prototype = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null && !isForeignPlain(prototype)) {
    return refuse(`a ${prototype.constructor?.name ?? 'class instance'}`, path)
  }
  if (typeof (value as { toJSON?: unknown }).toJSON === 'function') return refuse('an object with toJSON', path)
  for (const name of Object.keys(value)) {
    const each = (value as Record<string, unknown>)[name]
    // An absent property and one that is undefined read the same.
    if (each === undefined) continue
    path.push(name)
    checkPlain(each, path)
    path.pop()
  }
}

/** The Object.prototype of another realm, such as a test runner's. */
function isForeignPlain(prototype: object): boolean {
  return Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype, 'hasOwnProperty')
}

function refuse(what: string, path: readonly (string | number)[]): never {
  const place = path.length === 0 ? 'the value' : `the value at ${path.join('.')}`
  throw new CacheValueError(`JSON cannot carry ${what} (${place}); choose codec 'v8', or convert it`)
}
