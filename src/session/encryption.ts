import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'
import { ConfigurationError } from '../shared/errors.js'
import { type Codec, type Opened, type Place, plainCodec } from './codec.js'

/** 32 random bytes, as they are or in base64, and the name under which sealed data remembers them. */
export interface EncryptionKey {
  /** 1 to 64 letters, digits, `_` or `-`. Never give a new key an old name. */
  readonly id: string
  readonly key: string | Uint8Array
}

export interface EncryptionOptions {
  /**
   * The first seals, all open. To rotate: add the new key at the end everywhere, then move it to the front, then, after
   * `absoluteTtl` or `rekey()`, remove the old one.
   */
  readonly keys: readonly EncryptionKey[]
  /** Also accept sessions that were stored unsealed, and seal them. For the time of a migration. @default false */
  readonly readPlaintext?: boolean | undefined
}

/** First byte of an envelope: `version 1 | length of key id 1 | key id | iv 12 | tag 16 | ciphertext`. */
const VERSION = 1
const IV = 12
const TAG = 16
const CACHED_KEYS = 1000

/**
 * AES-256-GCM. Each session has a key of its own (HKDF of the master key and the session's hash), so that the bound on
 * random nonces counts per session (NIST SP 800-38D §8.3), and what is sealed names its place, so that it opens
 * nowhere else.
 */
export function encryptingCodec({ keys, readPlaintext = false }: EncryptionOptions): Codec {
  const ring = new Map(keys.map(({ id, key }) => [id, readKey(key)] as const))
  if (ring.size !== keys.length) throw new ConfigurationError('encryption', 'keys', 'must have an id each')
  const [current] = keys as readonly [EncryptionKey, ...EncryptionKey[]]
  const header = Buffer.concat([Buffer.from([VERSION, current.id.length]), Buffer.from(current.id)])
  const derived = new Map<string, Buffer>()

  function keyFor(id: string, master: Buffer, hash: string): Buffer {
    const name = `${id}:${hash}`
    let key = derived.get(name)
    if (key === undefined) {
      key = Buffer.from(hkdfSync('sha256', master, hash, 'holdfast session v1', 32))
      if (derived.size >= CACHED_KEYS) derived.delete(derived.keys().next().value as string)
      derived.set(name, key)
    }
    return key
  }

  return {
    binary: true,
    seal(text, place) {
      const iv = randomBytes(IV)
      const key = keyFor(current.id, ring.get(current.id) as Buffer, place.hash)
      const cipher = createCipheriv('aes-256-gcm', key, iv, { authTagLength: TAG }).setAAD(nameOf(place))
      const sealed = cipher.update(text, 'utf8')
      cipher.final()
      return Buffer.concat([header, iv, cipher.getAuthTag(), sealed])
    },
    open(sealed, place): Opened {
      const bytes = typeof sealed === 'string' ? Buffer.from(sealed) : sealed
      if (bytes[0] !== VERSION) {
        const plain = readPlaintext ? plainCodec.open(bytes, place) : undefined
        return plain !== undefined && 'text' in plain ? { text: plain.text, outdated: true } : { problem: 'corrupt' }
      }
      const start = 2 + (bytes[1] ?? 0)
      if (bytes.length < start + IV + TAG) return { problem: 'corrupt' }
      const id = bytes.toString('latin1', 2, start)
      const master = ring.get(id)
      if (master === undefined) return { problem: 'unknown key' }
      const iv = bytes.subarray(start, start + IV)
      const tag = bytes.subarray(start + IV, start + IV + TAG)
      try {
        const decipher = createDecipheriv('aes-256-gcm', keyFor(id, master, place.hash), iv, { authTagLength: TAG })
        decipher.setAAD(nameOf(place)).setAuthTag(tag)
        const text = decipher.update(bytes.subarray(start + IV + TAG), undefined, 'utf8') + decipher.final('utf8')
        return { text, outdated: id !== current.id }
      } catch {
        return { problem: 'corrupt' }
      }
    },
  }
}

/** Whether a value is a usable list of keys; used where options are checked. */
export function isEncryption(value: unknown): boolean {
  const keys = (value as { keys?: unknown } | null)?.keys
  return Array.isArray(keys) && keys.length > 0 && keys.every(isKey)
}

function isKey(value: unknown): boolean {
  const { id, key } = (value ?? {}) as { id?: unknown; key?: unknown }
  if (typeof id !== 'string' || !/^[A-Za-z0-9_-]{1,64}$/.test(id)) return false
  return typeof key === 'string'
    ? Buffer.from(key, 'base64').length === 32
    : key instanceof Uint8Array && key.length === 32
}

function readKey(key: string | Uint8Array): Buffer {
  return typeof key === 'string' ? Buffer.from(key, 'base64') : Buffer.from(key)
}

function nameOf({ record, kind, version }: Place): Buffer {
  return Buffer.from(JSON.stringify([record, kind, version]))
}
