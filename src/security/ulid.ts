import { randomBytes } from 'node:crypto'

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const RANDOM_LENGTH = 16
const MAX_TIME = 2 ** 48 - 1

/**
 * Makes ULIDs (https://github.com/ulid/spec): 48 bits of time, 80 of chance, sortable as text. Ids of one generator
 * only grow, also within a millisecond and when the clock steps back.
 */
export function createUlid(now: () => number = Date.now): () => string {
  let last = -1
  let prefix = ''
  const digits = new Uint8Array(RANDOM_LENGTH)

  const renew = (time: number): void => {
    last = time
    prefix = timeText(time)
    const bytes = randomBytes(RANDOM_LENGTH)
    for (let index = 0; index < RANDOM_LENGTH; index++) digits[index] = (bytes[index] as number) & 31
  }
  /** False once all of the millisecond's 2^80 are used. */
  const increment = (): boolean => {
    for (let index = RANDOM_LENGTH - 1; index >= 0; index--) {
      if ((digits[index] as number) < 31) {
        digits[index] = (digits[index] as number) + 1
        return true
      }
      digits[index] = 0
    }
    return false
  }
  return () => {
    const time = Math.min(Math.max(Math.floor(now()), 0), MAX_TIME)
    if (time > last || !increment()) renew(Math.max(time, last + 1))
    let id = prefix
    for (const digit of digits) id += ALPHABET[digit]
    return id
  }
}

function timeText(time: number): string {
  let text = ''
  for (let place = 0; place < 10; place++) {
    text = (ALPHABET[time % 32] as string) + text
    time = Math.floor(time / 32)
  }
  return text
}
