import { describe, expect, it } from '@jest/globals'
import { createUlid } from '../../src/security/ulid.js'

describe('ulid', () => {
  it('encodes the time in the first ten characters, as the specification does', () => {
    const id = createUlid(() => 1_469_918_176_385)()
    expect(id).toMatch(/^[0-9A-HJKMNP-TV-Z]{26}$/)
    expect(id.slice(0, 10)).toBe('01ARYZ6S41')
  })

  it('only grows: within a millisecond and when the clock steps back', () => {
    let now = 1000
    const ulid = createUlid(() => now)
    const ids = Array.from({ length: 20_000 }, (_, index) => {
      if (index % 1000 === 0) now -= 10
      if (index % 7 === 0) now++
      return ulid()
    })
    expect(ids.toSorted()).toEqual(ids)
    expect(new Set(ids).size).toBe(ids.length)
  })

  it('differs between generators of the same moment', () => {
    expect(createUlid(() => 5)()).not.toBe(createUlid(() => 5)())
  })
})
