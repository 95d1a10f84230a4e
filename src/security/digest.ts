import { createHmac, timingSafeEqual } from 'node:crypto'

/** A keyed digest of something that must not be stored: `~` and 96 bits. Purposes do not mix. */
export type Digest = (purpose: string, text: string) => string

/** Digests of one key are equal in every process that has it. */
export function createDigest(key: string): Digest {
  return (purpose, text) =>
    `~${createHmac('sha256', key).update(purpose).update('\0').update(text.slice(0, 10_000)).digest('base64url').slice(0, 16)}`
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
