import { isIPv6 } from 'node:net'
import fc from 'fast-check'
import { addressMatcher, addressOf, isAddressRange, networkOf, normaliseAddress } from '../../src/shared/address.js'

const groups = fc.array(fc.integer({ min: 0, max: 0xffff }), { minLength: 8, maxLength: 8 })
const spelled = (parts: readonly number[]): string => parts.map((part) => part.toString(16)).join(':')

describe('normaliseAddress', () => {
  it.each([
    ['192.0.2.7', '192.0.2.7'],
    ['192.0.2.7:8080', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['::FFFF:c000:207', '192.0.2.7'],
    ['0:0:0:0:0:ffff:c000:0207', '192.0.2.7'],
    ['[::ffff:192.0.2.7]:443', '192.0.2.7'],
    ['64:ff9b::192.0.2.7', '192.0.2.7'],
    ['64:ff9b:0:0:0:0:c000:207', '192.0.2.7'],
    ['64:ff9b:1::192.0.2.7', '64:ff9b:1::c000:207'],
    ['::192.0.2.7', '::c000:207'],
    ['::ffff:0:192.0.2.7', '::ffff:0:c000:207'],
    ['2001:DB8::1', '2001:db8::1'],
    ['2001:0db8:0:0:0:0:0:1', '2001:db8::1'],
    ['2001:db8:0:1:0:0:0:1', '2001:db8:0:1::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['fe80::1%eth0', 'fe80::1'],
    ['[fe80::1%25eth0]:8080', 'fe80::1'],
    ['[2001:db8::1]', '2001:db8::1'],
    ['::', '::'],
    ['::1', '::1'],
    ['1::', '1::'],
  ])('%s is %s', (text, expected) => {
    expect(normaliseAddress(text)).toBe(expected)
  })

  it.each([
    [undefined],
    [null],
    [42],
    [{}],
    [''],
    ['unknown'],
    ['_hidden'],
    ['999.0.0.1'],
    ['1.2.3'],
    ['01.2.3.4'],
    ['1.2.3.4, 5.6.7.8'],
    ['1.2.3.4:port'],
    ['[1.2.3.4]'],
    ['[::1'],
    ['[::1]x'],
    ['[::1]:999999'],
    [':::'],
    ['1:2:3:4:5:6:7:8:9'],
    ['2001:db8::1\r\nX: 1'],
    ['%eth0'],
    ['x'.repeat(1_000_000)],
    [`fe80::1%${'z'.repeat(200)}`],
  ])('%p is no address', (text) => {
    expect(normaliseAddress(text)).toBeUndefined()
  })

  it('gives every spelling of one IPv6 address the same text, and is stable', () => {
    fc.assert(
      fc.property(groups, (parts) => {
        const full = parts.map((part) => part.toString(16).padStart(4, '0').toUpperCase()).join(':')
        const normal = normaliseAddress(full)
        expect(normal).toBeDefined()
        expect(normaliseAddress(spelled(parts))).toBe(normal)
        expect(normaliseAddress(normal)).toBe(normal)
        expect(normaliseAddress(`[${spelled(parts)}%zone]:65535`)).toBe(normal)
      }),
    )
  })

  it('agrees with the URL parser on how IPv6 is written', () => {
    const sparse = fc.array(fc.constantFrom(0, 0, 0, 1, 0xdb8), { minLength: 8, maxLength: 8 })
    fc.assert(
      fc.property(fc.oneof(groups, sparse), (parts) => {
        const normal = normaliseAddress(spelled(parts)) as string
        if (isIPv6(normal)) expect(`[${normal}]`).toBe(new URL(`http://[${spelled(parts)}]`).hostname)
      }),
    )
  })

  it('never throws and never returns anything but its own normal form', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.anything()), (anything) => {
        const normal = normaliseAddress(anything)
        if (normal !== undefined) expect(normaliseAddress(normal)).toBe(normal)
      }),
    )
  })
})

describe('networkOf', () => {
  it.each([
    ['192.0.2.7', 64, '192.0.2.7'],
    ['::ffff:192.0.2.7', 48, '192.0.2.7'],
    ['2001:db8:1:2:3:4:5:6', 64, '2001:db8:1:2::/64'],
    ['2001:db8:1:2:3:4:5:6', 56, '2001:db8:1::/56'],
    ['2001:db8:1:ff2:3:4:5:6', 56, '2001:db8:1:f00::/56'],
    ['2001:db8:1:2:3:4:5:6', 48, '2001:db8:1::/48'],
    ['2001:db8:1:2:3:4:5:6', 128, '2001:db8:1:2:3:4:5:6/128'],
    ['::1', 64, '::/64'],
  ])('%s /%d is %s', (address, bits, expected) => {
    expect(networkOf(address, bits)).toBe(expected)
  })

  it('cuts to /64 unless told', () => {
    expect(networkOf('2001:db8::1')).toBe('2001:db8::/64')
    expect(networkOf('nonsense')).toBeUndefined()
  })

  it('is the same for two addresses exactly when their first bits are the same', () => {
    fc.assert(
      fc.property(groups, groups, fc.integer({ min: 1, max: 128 }), (left, right, bits) => {
        const binary = (parts: readonly number[]): string =>
          parts.map((part) => part.toString(2).padStart(16, '0')).join('')
        const [a, b] = [normaliseAddress(spelled(left)), normaliseAddress(spelled(right))] as [string, string]
        fc.pre(isIPv6(a) && isIPv6(b))
        const same = binary(left).slice(0, bits) === binary(right).slice(0, bits)
        expect(networkOf(a, bits) === networkOf(b, bits)).toBe(same)
        const mixed = [...left.slice(0, bits >> 4), ...right.slice(bits >> 4)]
        if (bits % 16 === 0 && isIPv6(normaliseAddress(spelled(mixed)) as string)) {
          expect(networkOf(spelled(mixed), bits)).toBe(networkOf(a, bits))
        }
      }),
    )
  })
})

describe('addressMatcher', () => {
  const matches = addressMatcher(['10.0.0.0/8', '192.0.2.7', '2001:db8::/32', '::ffff:198.51.100.0/120'])

  it.each([
    ['10.255.0.1', true],
    ['::ffff:10.0.0.1', true],
    ['11.0.0.1', false],
    ['192.0.2.7', true],
    ['192.0.2.8', false],
    ['2001:db8:ffff::1', true],
    ['2001:db9::1', false],
    ['198.51.100.200', true],
    ['198.51.101.1', false],
    ['nonsense', false],
    [undefined, false],
  ])('%s: %s', (address, expected) => {
    expect(matches(address)).toBe(expected)
  })

  it('of an empty list holds nobody', () => {
    expect(addressMatcher([])('10.0.0.1')).toBe(false)
  })

  it.each([
    '10.0.0.0/33',
    '10.0.0.0/-1',
    '10.0.0.0/',
    '10.0.0/8',
    '::/129',
    '::ffff:1.2.3.4/64',
    '',
    '1.2.3.4/8/8',
    '*',
  ])('refuses %p as an entry', (entry) => {
    expect(isAddressRange(entry)).toBe(false)
    expect(() => addressMatcher([entry])).toThrow(RangeError)
  })
})

describe('addressOf', () => {
  it('takes req.ip and nothing a client can send', () => {
    const forged = {
      ip: '::ffff:192.0.2.7',
      headers: { 'x-forwarded-for': '198.51.100.1', forwarded: 'for=198.51.100.1' },
    }
    expect(addressOf(forged)).toBe('192.0.2.7')
    expect(addressOf({ ip: undefined })).toBeUndefined()
    expect(addressOf({ ip: 'forged' })).toBeUndefined()
  })
})
