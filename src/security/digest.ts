import { createHmac, timingSafeEqual } from 'node:crypto'

/** A keyed digest of something that must not be stored: `~` and 96 bits. Purposes do not mix. */
export type Digest = (purpose: string, text: string) => string

const REMEMBERED = 2000

/** Digests of one key are equal in every process that has it. Those of the same few users are not made anew each time. */
export function createDigest(key: string): Digest {
  const made = new Map<string, string>()
  const make = (input: string): string => `~${createHmac('sha256', key).update(input).digest('base64url').slice(0, 16)}`
  return (purpose, text) => {
    const input = `${purpose}\0${text.slice(0, 10_000)}`
    // Secrets and long texts are not kept in memory.
    if (purpose === 'credential' || text.length > 200) return make(input)
    const known = made.get(input)
    if (known !== undefined) return known
    const digest = make(input)
    if (made.size >= REMEMBERED) made.clear()
    made.set(input, digest)
    return digest
  }
}

/** Equality that takes the same time wherever the texts differ. */
export function sameText(a: string, b: string): boolean {
  const left = Buffer.from(a)
  const right = Buffer.from(b)
  return left.length === right.length && timingSafeEqual(left, right)
}

/** One account, however its owner writes its name. */
export function accountDigest(digest: Digest, name: string): string {
  return digest('account', name.normalize('NFKC').trim().toLowerCase())
}
