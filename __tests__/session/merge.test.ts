import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { merge } from '../../src/session/merge.js'

describe('merge', () => {
  it.each([
    ['both add', {}, { a: 1 }, { b: 2 }, { a: 1, b: 2 }, []],
    ['mine changes', { a: 1, b: 1 }, { a: 2, b: 1 }, { a: 1, b: 1 }, { a: 2, b: 1 }, []],
    ['theirs changes', { a: 1, b: 1 }, { a: 1, b: 1 }, { a: 1, b: 2 }, { a: 1, b: 2 }, []],
    ['mine deletes', { a: 1, b: 1 }, { b: 1 }, { a: 1, b: 2 }, { b: 2 }, []],
    ['theirs deletes', { a: 1 }, { a: 1 }, {}, {}, []],
    ['both change one key: the later writer wins', { a: 1 }, { a: 2 }, { a: 3 }, { a: 2 }, ['a']],
    ['both change it alike', { a: 1 }, { a: 2 }, { a: 2 }, { a: 2 }, []],
    ['mine deletes what theirs changed', { a: 1 }, {}, { a: 2 }, {}, ['a']],
    [
      'nested values count by content, not by order',
      { a: { x: 1, y: 2 } },
      { a: { y: 2, x: 1 } },
      { a: 0 },
      { a: 0 },
      [],
    ],
  ])('%s', (_, base, mine, theirs, data, conflicts) => {
    expect(merge(base, mine, theirs)).toEqual({ data, conflicts })
  })

  it('leaves a write that waited for an outage to end behind what came meanwhile', () => {
    expect(merge({ a: 1, b: 1 }, { a: 2, b: 2 }, { a: 3, b: 1 }, 'theirs').data).toEqual({ a: 3, b: 2 })
  })

  const object = fc.dictionary(fc.constantFrom('a', 'b', 'c', '__proto__', 'constructor'), fc.jsonValue())

  it('keeps the change of a key that only one side changed, whatever the keys and values', () => {
    fc.assert(
      fc.property(object, object, object, (base, mine, theirs) => {
        const text = (data: object, key: string) =>
          Object.hasOwn(data, key) ? JSON.stringify(Object.getOwnPropertyDescriptor(data, key)?.value) : undefined
        const { data } = merge(base, mine, theirs)
        for (const key of ['a', 'b', 'c', '__proto__', 'constructor']) {
          const [was, my, their, now] = [base, mine, theirs, data].map((each) => text(each, key))
          if (my === was) expect(now).toBe(their)
          else if (their === was) expect(now).toBe(my)
        }
      }),
    )
  })

  it('gives what is there where nobody changed anything', () => {
    fc.assert(
      fc.property(object, (data) => {
        expect({ ...merge(data, data, data).data }).toEqual({ ...data })
      }),
    )
  })
})
