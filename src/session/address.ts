import type { Keyspace } from '../redis/index.js'
import { handleOf, hashOfId, parseHandle, tagOfId } from './id.js'

/** Where a session lives: three keys of one Cluster slot. */
export interface Address {
  readonly tag: string
  readonly hash: string
  /** HASH: the session itself. */
  readonly record: string
  /** ZSET of the user's session hashes by expiry. */
  readonly index: string
  /** Counter: sessions made under a lower one are revoked. */
  readonly generation: string
}

/** Of a session id, or of a handle that a listing gave. */
export function addressOf(keys: Keyspace, idOrHandle: string): Address {
  const { tag, hash } = parseHandle(idOrHandle) ?? { tag: tagOfId(idOrHandle), hash: hashOfId(idOrHandle) }
  return addressIn(keys, tag, hash)
}

export function addressIn(keys: Keyspace, tag: string, hash: string): Address {
  // Once for the three: tags and hashes are base64url, which needs no encoding.
  const user = keys.key('session', keys.slot(tag))
  return { tag, hash, record: `${user}:${hash}`, index: `${user}:index`, generation: `${user}:generation` }
}

/** The handle of a record's key; `undefined` for the other keys of the feature. */
export function handleOfRecord(keys: Keyspace, key: string): string | undefined {
  const rest = key.slice(keys.key('session').length)
  const match = /^:\{([A-Za-z0-9_-]{16})\}:([A-Za-z0-9_-]{43})$/.exec(rest)
  return match === null ? undefined : handleOf(match[1] as string, match[2] as string)
}
