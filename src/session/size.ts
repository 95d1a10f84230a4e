import { SessionTooLargeError } from './errors.js'

const NAMED = 3

export function checkSize(json: string, session: object, maxBytes: number): void {
  // A character has at most three bytes of UTF-8: most sessions need no counting.
  if (json.length * 3 <= maxBytes) return
  const bytes = Buffer.byteLength(json)
  if (bytes <= maxBytes) return
  const sizes = Object.entries(session)
    .map(([key, value]) => [key, Buffer.byteLength(JSON.stringify(value) ?? '')] as const)
    .sort(([, a], [, b]) => b - a)
  throw new SessionTooLargeError(bytes, maxBytes, sizes.slice(0, NAMED))
}
