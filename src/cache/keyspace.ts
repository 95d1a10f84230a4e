import { createHash } from 'node:crypto'
import type { Keyspace } from '../redis/index.js'

/**
 * The keys of one namespace. Entries spread over all Cluster slots; the versions they depend on share one, so that
 * they are read and replaced in one command. `path` narrows the namespace, one level for each nested scope; its length
 * is part of the key, so that no text in it reaches another level.
 */
export interface CacheKeys {
  entry(key: string): string
  lease(key: string): string
  /** The key of the version an entry depends on, by the name it has in the entry. */
  version(name: string): string
  /** MATCH patterns, safe whatever the parts hold, for every entry or lease whose key the pattern may mean. */
  matching(pattern: string): { readonly entries: readonly string[]; readonly leases: readonly string[] }
  /** The key whose version changes with every invalidation of a tag. */
  readonly epoch: string
  /** Names of the versions every entry depends on: the generation of the namespace and of each scope inside it. */
  readonly generations: readonly string[]
}

export interface CacheKeysOptions {
  readonly keys: Keyspace
  readonly feature: string
  readonly namespace: string
  readonly path: readonly string[]
}

/** Name of the dependency on the program's own version, which is not in Redis. */
export const STAMP = 's'

/** The name of a tag among an entry's dependencies: of bounded length, and whole after a trip through UTF-8. */
export function tagName(tag: string): string {
  if (tag.length <= 200 && tag.isWellFormed()) return `t${tag}`
  return `h${createHash('sha256').update(tag, 'utf16le').digest('base64url')}`
}

export function cacheKeys({ keys, feature, namespace, path }: CacheKeysOptions): CacheKeys {
  const depth = path.length
  const slot = keys.slot(namespace)
  const versionKeys = (name: string): string => {
    if (name[0] === 'g') {
      const level = Number(name.slice(1))
      return keys.key(feature, slot, level, ...path.slice(0, level), 'g')
    }
    return keys.key(feature, slot, depth, ...path, name[0] as string, name.slice(1))
  }
  const entries = keys.key(feature, namespace, depth, ...path)
  const leases = keys.key(`${feature}-lease`, namespace, depth, ...path)
  return {
    entry: remembering((key) => `${entries}:{${keys.slot(key).slot}}`),
    lease: (key) => `${leases}:{${keys.slot(key).slot}}`,
    version: remembering(versionKeys),
    matching(pattern) {
      const inside = [globOf(keys, pattern), HASHED]
      const under = (base: string): string[] => inside.map((glob) => `${base}:{${glob}}`)
      return { entries: under(entries), leases: under(leases) }
    },
    epoch: keys.key(feature, slot, depth, ...path, 'e'),
    generations: Array.from({ length: depth + 1 }, (_, level) => `g${level}`),
  }
}

const REMEMBERED = 1000
const LONGEST_REMEMBERED = 200

/** The function, which computes once for what is asked of it often. */
function remembering(compute: (text: string) => string): (text: string) => string {
  const known = new Map<string, string>()
  return (text) => {
    const present = known.get(text)
    if (present !== undefined) return present
    const result = compute(text)
    if (text.length <= LONGEST_REMEMBERED) {
      if (known.size >= REMEMBERED) known.clear()
      known.set(text, result)
    }
    return result
  }
}

/** Long keys are stored as digests, which no pattern can look into: all of them are taken to match. */
const HASHED = '~*'

/** `*` stands for any text, `\\*` for itself; everything else is text. */
function globOf(keys: Keyspace, pattern: string): string {
  return pattern
    .split(/(?<!\\)\*/)
    .map((text) => text.replaceAll('\\*', '*'))
    .map((text) => [...text].map((character) => keys.slot(character).slot).join(''))
    .join('*')
}
