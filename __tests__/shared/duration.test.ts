import fc from 'fast-check'
import { type Duration, parseDuration, toMs } from '../../src/shared/duration.js'

test.each<[unknown, number]>([
  [0, 0],
  [250, 250],
  [1.5, 2],
  ['250ms', 250],
  ['30s', 30_000],
  ['1.5s', 1500],
  ['5m', 300_000],
  ['1h', 3_600_000],
  ['7d', 604_800_000],
  ['2w', 1_209_600_000],
  ['0s', 0],
])('%j is %i ms', (value, ms) => {
  expect(parseDuration(value)).toBe(ms)
})

test.each([
  '',
  '5',
  's',
  '-5s',
  '+5s',
  '1e3s',
  '5 s',
  ' 5s',
  '5s\n',
  '5S',
  '5y',
  '.5s',
  '5.s',
  '٥s',
  `${'9'.repeat(400)}s`,
  -1,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  5n,
  null,
  undefined,
  [],
  {},
  true,
])('%p is no duration', (value) => {
  expect(parseDuration(value)).toBeUndefined()
  expect(() => toMs(value as Duration)).toThrow(/^not a duration: /)
})

test('any amount of any unit is that many times its milliseconds', () => {
  const units = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 }
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 1_000_000 }),
      fc.constantFrom(...(Object.entries(units) as [keyof typeof units, number][])),
      (amount, [unit, ms]) => {
        expect(toMs(`${amount}${unit}`)).toBe(amount * ms)
      },
    ),
  )
})

test('whatever it is given, it answers with a finite duration or none', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.anything(), fc.stringMatching(/^\d{1,400}(ms|s|w)$/)), (value) => {
      const ms = parseDuration(value)
      expect(ms === undefined || (Number.isFinite(ms) && ms >= 0)).toBe(true)
    }),
  )
})
