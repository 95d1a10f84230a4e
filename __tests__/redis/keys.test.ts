import slotOf from 'cluster-key-slot'
import fc from 'fast-check'
import { createRedisManager } from '../../src/redis/index.js'
import { createKeyspace, type KeyPart } from '../../src/redis/keys.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'

const keys = createKeyspace('shop')
/** Text made to confuse: separators, encodings, globs, braces, lengths around the limit, broken surrogates. */
const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.string({ unit: fc.constantFrom(':', '%', '~', '{', '}', '*', '?', '[', ']', '\\', '^', '3', 'a', ' ') }),
  fc.string({ unit: fc.constantFrom(':', '%3a', '\ud800', '\udfff', '😀', 'é', '\0', '\r\n'), maxLength: 5 }),
  fc
    .tuple(fc.constantFrom(66, 67, 199, 200, 201), fc.constantFrom('x', ':', '%3a', '\ud800'))
    .map(([length, unit]) => unit.repeat(length)),
  fc.constantFrom('__proto__', 'constructor', '%', '', '~', '../..', '{}', '{a}'),
)

test('keys read as prefix:feature:parts', () => {
  expect(keys.key('cache', 'user', 42)).toBe('shop:cache:user:42')
  expect(keys.key('cache')).toBe('shop:cache')
  expect(keys.key('session', keys.slot('u1'), 'data')).toBe('shop:session:{u1}:data')
})

test('different parts never give equal keys', () => {
  fc.assert(
    fc.property(fc.array(text, { maxLength: 4 }), fc.array(text, { maxLength: 4 }), (left, right) => {
      const same = left.length === right.length && left.every((part, index) => part === right[index])
      expect(keys.key('f', ...left) === keys.key('f', ...right)).toBe(same)
    }),
    { numRuns: 2000 },
  )
})

test.each<[string, string[], string[]]>([
  ['a separator inside a part', ['a:b'], ['a', 'b']],
  ['an encoded separator', ['a:b'], ['a%3ab']],
  ['an empty part and none', [''], []],
  ['an empty part and a percent sign', [''], ['%']],
  ['a slot and its text', ['{a}'], ['a']],
  ['long text and the digest of it', ['x'.repeat(201)], [keys.key('f', 'x'.repeat(201)).slice(7)]],
  ['broken text and long text that spells its encoding', [`\ud800${':'.repeat(199)}`], [`\ud800${'%3a'.repeat(199)}`]],
  ['two broken texts that UTF-8 would merge', ['\ud800'], ['\ud801']],
])('%s are different keys', (_name, left, right) => {
  expect(keys.key('f', ...left)).not.toBe(keys.key('f', ...right))
})

test('no part reaches the wire as a separator, glob, brace, control character or broken text', () => {
  fc.assert(
    fc.property(text, (part) => {
      const [, , encoded, ...rest] = keys.key('f', part).split(':')
      expect(rest).toEqual([])
      expect(encoded).toMatch(/^[^\0-\x20\x7f:{}*?[\]\\^"']+$/)
      expect(encoded?.isWellFormed()).toBe(true)
      expect(encoded?.length).toBeLessThanOrEqual(600)
    }),
  )
})

test('keys with the same slot part share a slot, whatever else they hold; the part alone decides', () => {
  fc.assert(
    fc.property(text, text, text, (tag, one, other) => {
      const slot = keys.slot(tag)
      expect(slotOf(keys.key('f', slot, one))).toBe(slotOf(keys.key('g', other, slot)))
      expect(slotOf(keys.key('f', slot, one))).toBe(slotOf(slot.slot))
    }),
  )
})

test.each(['', 'a b', 'a:b', 'a{b}', 'a*', 'ä', 'x'.repeat(65), 'a\n'])('the prefix %j is refused', (keyPrefix) => {
  expect(() => createRedisManager({ env: {}, logger: false, keyPrefix })).toThrow(
    /"keyPrefix" must be 1 to 64 letters, digits/,
  )
})

describe('on a server', () => {
  let server: RedisServer
  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server.stop())

  test('a pattern matches the keys that continue its parts, and no others', async () => {
    const client = server.client()
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(text, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 12 }),
        async (all: KeyPart[][]) => {
          await client.flushall()
          const [start] = all as [KeyPart[]]
          const continued = [...start, 'more']
          await client.mset(...[...all, continued].flatMap((parts) => [keys.key('f', ...parts), '1']))
          await client.set(keys.key('g', ...continued), '1')
          const expected = new Set(
            [...all, continued]
              .filter((parts) => parts.length > start.length && start.every((part, index) => part === parts[index]))
              .map((parts) => keys.key('f', ...parts)),
          )
          expect(new Set(await client.keys(keys.pattern('f', ...start)))).toEqual(expected)
        },
      ),
      { numRuns: 150 },
    )
  })

  test('keys hold what they were given for: a server stores and returns each one', async () => {
    const client = server.client()
    await fc.assert(
      fc.asyncProperty(text, async (part) => {
        const key = keys.key('f', part)
        await client.set(key, 'here')
        expect(await client.keys('shop:f:*')).toContain(key)
        await client.del(key)
      }),
      { numRuns: 100 },
    )
  })
})
