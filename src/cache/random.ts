import { randomFillSync } from 'node:crypto'

const pool = Buffer.allocUnsafeSlow(3072)
let used = pool.length

/** So many random bytes as base64url: of a pool, since a few cost as much to ask for as thousands. At most 3072. */
export function randomText(bytes: number): string {
  if (used + bytes > pool.length) {
    randomFillSync(pool)
    used = 0
  }
  used += bytes
  return pool.toString('base64url', used - bytes, used)
}
