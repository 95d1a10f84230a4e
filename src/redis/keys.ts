import { createHash } from 'node:crypto'
import type { Rule } from '../shared/options.js'

/** Part of a key whose text alone decides the Cluster slot. Made by {@link Keyspace.slot}. */
export interface SlotPart {
  readonly slot: string
}

export type KeyPart = string | number | SlotPart

/**
 * Builds every key of the package as `prefix:feature:part:part`. Parts are data: separators, braces, glob characters,
 * control characters and the like are encoded, and parts over 200 characters become a SHA-256, so that no text can
 * reach another key, another slot or another tenant.
 */
export interface Keyspace {
  readonly prefix: string
  key(feature: string, ...parts: KeyPart[]): string
  /** Keys that contain the same slot part live in one Cluster slot. */
  slot(part: string): SlotPart
  /** A MATCH pattern, safe whatever the parts hold, for every key that starts with them. */
  pattern(feature: string, ...parts: KeyPart[]): string
}

const MAX_PART = 200
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not pass
const UNSAFE = /[\x00-\x20\x7f%:{}*?[\]\\^~"']/g

export const aKeyPrefix: Rule = {
  expected: '1 to 64 letters, digits, "_", ".", "-" or "/"',
  accepts: (value) => typeof value === 'string' && /^[A-Za-z0-9_.\-/]{1,64}$/.test(value),
}

/** `prefix` satisfies {@link aKeyPrefix}. */
export function createKeyspace(prefix: string): Keyspace {
  const key = (feature: string, ...parts: KeyPart[]): string => {
    let result = `${prefix}:${feature}`
    for (const part of parts) {
      result += typeof part === 'object' ? `:{${part.slot}}` : `:${encode(String(part))}`
    }
    return result
  }
  return {
    prefix,
    key,
    slot: (part) => ({ slot: encode(part) }),
    pattern: (feature, ...parts) => `${key(feature, ...parts)}:*`,
  }
}

function encode(part: string): string {
  // '~' is encoded in ordinary parts, so that a digest collides with no text.
  if (part.length > MAX_PART || !part.isWellFormed()) {
    return `~${createHash('sha256').update(part, 'utf16le').digest('base64url')}`
  }
  if (part.length === 0) return '%'
  UNSAFE.lastIndex = 0
  return UNSAFE.test(part) ? part.replace(UNSAFE, percent) : part
}

function percent(character: string): string {
  return `%${character.charCodeAt(0).toString(16).padStart(2, '0')}`
}
