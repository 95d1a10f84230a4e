import type { Keyspace } from '../redis/index.js'

/** Every channel of the package's users lives under one feature name, apart from all keys and channels of ours. */
const FEATURE = 'pubsub'

export function nameOf(keys: Keyspace, parts: readonly string[]): string {
  return keys.key(FEATURE, ...parts)
}

export function patternOf(keys: Keyspace, parts: readonly string[]): string {
  return keys.pattern(FEATURE, ...parts)
}

/** The parts a channel's name was made of. Parts are never long enough to have become a digest. */
export function partsOf(keys: Keyspace, name: string): readonly string[] {
  const encoded = name.slice(keys.key(FEATURE).length + 1).split(':')
  return encoded.map((part) =>
    part.replace(/%([0-9a-f]{2})/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16))),
  )
}
