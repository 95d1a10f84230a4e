import fc from 'fast-check'
import { reader } from '../../src/shared/environment.js'
import { ConfigurationError } from '../../src/shared/errors.js'
import {
  aBoolean,
  aDuration,
  aFunction,
  aManager,
  anInteger,
  anObject,
  anything,
  arrayOf,
  aString,
  checkOptions,
  either,
  oneOf,
  type Rule,
  type Rules,
  requireOptions,
  secret,
  show,
} from '../../src/shared/options.js'

interface Options {
  readonly limit?: number | undefined
  readonly window?: string | undefined
  readonly key?: string | undefined
}
const rules: Rules<Options> = { limit: anInteger(1), window: aDuration(1), key: secret(aString) }
const check = (given: unknown): void => checkOptions('rateLimit', given as Options, rules)

test('what is right, or not given, passes', () => {
  expect(() => check({})).not.toThrow()
  expect(() => check({ limit: 1, window: '1m', key: 'k' })).not.toThrow()
  expect(() => check({ limit: undefined })).not.toThrow()
  expect(() => check(Object.create({ inherited: 1 }))).not.toThrow()
})

test.each<[unknown, string]>([
  [{ limit: 0 }, 'rateLimit: "limit" must be an integer of 1 or more, got 0'],
  [{ limit: '5' }, 'rateLimit: "limit" must be an integer of 1 or more, got "5"'],
  [{ limit: Number.NaN }, 'rateLimit: "limit" must be an integer of 1 or more, got NaN'],
  [{ limit: null }, 'rateLimit: "limit" must be an integer of 1 or more, got null'],
  [{ limt: 5 }, 'rateLimit: "limt" is not an option; expected one of limit, window, key'],
  [{ toString: 5 }, 'rateLimit: "toString" is not an option; expected one of limit, window, key'],
  [JSON.parse('{"__proto__":{}}'), 'rateLimit: "__proto__" is not an option; expected one of limit, window, key'],
  [{ key: '' }, 'rateLimit: "key" must be a non-empty string, got [secret]'],
  [null, 'rateLimit: "options" must be an object, got null'],
  [undefined, 'rateLimit: "options" must be an object, got undefined'],
  ['limit', 'rateLimit: "options" must be an object, got "limit"'],
])('%j is refused', (given, message) => {
  expect(() => check(given)).toThrow(ConfigurationError)
  expect(() => check(given)).toThrow(message)
})

test('what is required is named with what it must be', () => {
  expect(() => requireOptions('rateLimit', { limit: 1 } as Options, rules, 'limit', 'key')).toThrow(
    'rateLimit: "key" is required: a non-empty string',
  )
})

test.each<[string, Rule, unknown[], unknown[]]>([
  ['anything', anything, [undefined, null, 0], []],
  ['a boolean', aBoolean, [true, false], [0, 'true', null]],
  ['a function', aFunction, [() => {}, class {}], [{}, 'f']],
  ['a string', aString, ['a', ' '], ['', 1, null]],
  ['an object', anObject, [{}, []], [null, 'a', () => {}]],
  ['an integer', anInteger(1, 3), [1, 3], [0, 4, 1.5, '2', Number.NaN, Number.POSITIVE_INFINITY]],
  ['a duration', aDuration(1000, 60_000), ['1s', 60_000], ['999ms', '2m', -1, 'soon', null]],
  ['one of several', oneOf('allow', 'deny', 7), ['allow', 7], ['Allow', '7', undefined]],
  ['either', either(aBoolean, aString), [true, 'a'], [1, '']],
  ['a list', arrayOf(aString, 1), [['a'], ['a', 'b']], [[], ['a', 1], 'a', { 0: 'a' }]],
  [
    'a manager',
    aManager,
    [{ attempt: () => {}, execute: () => {} }],
    [null, undefined, {}, 'x', { attempt: () => {} }, { execute: () => {} }],
  ],
])('%s accepts what it says and nothing else', (_name, rule, good, bad) => {
  expect(rule.expected).not.toBe('')
  for (const value of good) expect([value, rule.accepts(value)]).toEqual([value, true])
  for (const value of bad) expect([value, rule.accepts(value)]).toEqual([value, false])
})

test('rules say what they expect', () => {
  expect(anInteger(1, 3).expected).toBe('an integer from 1 to 3')
  expect(oneOf('allow', 'deny').expected).toBe("'allow' or 'deny'")
  expect(either(aBoolean, aString).expected).toBe('true or false, or a non-empty string')
  expect(arrayOf(aString, 1).expected).toBe('an array of a non-empty string, at least 1')
})

test('a value is shown short, on one line, whatever it is', () => {
  fc.assert(
    fc.property(fc.oneof(fc.anything(), fc.string({ minLength: 50, maxLength: 500 })), (value) => {
      const shown = show(value)
      expect(shown).not.toMatch(/[\r\n]/)
      expect(shown.length).toBeLessThan(450)
    }),
  )
  expect(show('x'.repeat(500))).toHaveLength(63)
  expect(show({ password: 'x' })).toBe('an object')
  expect(show(Symbol('s'))).toBe('Symbol(s)')
  expect(show(5n)).toBe('5')
})

describe('the environment', () => {
  const env = reader({
    TEXT: ' a ',
    NUMBER: '42',
    BAD: '4 2',
    EMPTY: '',
    BLANK: '  ',
    ON: '1',
    OFF: 'false',
    WAIT: '30s',
  })

  test('is read by type; unset, empty and blank variables are not there', () => {
    expect(env.text('TEXT', aString)).toBe('a')
    expect(env.number('NUMBER', anInteger(1))).toBe(42)
    expect(env.flag('ON')).toBe(true)
    expect(env.flag('OFF')).toBe(false)
    expect(env.duration('WAIT', aDuration())).toBe(30_000)
    expect(env.duration('NUMBER', aDuration())).toBe(42)
    for (const name of ['EMPTY', 'BLANK', 'UNSET']) expect(env.text(name, aString)).toBeUndefined()
  })

  test.each([
    [() => env.number('BAD', anInteger(1)), 'environment: "BAD" must be an integer of 1 or more, got "4 2"'],
    [() => env.number('NUMBER', anInteger(50)), 'environment: "NUMBER" must be an integer of 50 or more, got "42"'],
    [() => env.flag('NUMBER'), 'environment: "NUMBER" must be true, false, 1 or 0, got "42"'],
    [() => env.duration('TEXT', aDuration()), /"TEXT" must be a duration such as '30s'.*got "a"/],
    [() => env.text('TEXT', secret(oneOf('b'))), 'environment: "TEXT" must be \'b\', got [secret]'],
  ])('a wrong variable is named, case %#', (read, message) => {
    expect(read).toThrow(message)
  })
})
