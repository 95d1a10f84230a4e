import { describe, expect, it } from '@jest/globals'
import { isOwnEventType, meaningOf, owaspEventTypes } from '../../src/security/vocabulary.js'

describe('vocabulary', () => {
  it('gives OWASP names the level of the vocabulary', () => {
    expect(meaningOf('authn_login_fail', new Map())).toEqual({ type: 'authn_login_fail', level: 'warn' })
    expect(meaningOf('authz_fail', new Map())).toEqual({ type: 'authz_fail', level: 'critical' })
    expect(owaspEventTypes.length).toBeGreaterThan(50)
  })

  it.each([
    ['LOGIN_FAILED', 'authn_login_fail'],
    ['RATE_LIMIT_EXCEEDED', 'excess_rate_limit_exceeded'],
    ['UNAUTHORIZED_ACCESS', 'authz_fail'],
  ])('records the old-style %s as %s', (alias, type) => {
    expect(meaningOf(alias, new Map()).type).toBe(type)
  })

  it('takes the level of own names from their registration', () => {
    expect(meaningOf('shop.abuse', new Map([['shop.abuse', 'critical']]))).toEqual({
      type: 'shop.abuse',
      level: 'critical',
    })
  })

  it.each(['nonsense', '', '__proto__', 'toString', 'constructor', 42, null, undefined, {}, 'a.b\r\nc', '.x', 'x.'])(
    'makes %p an event of its own instead of throwing',
    (name) => {
      expect(meaningOf(name, new Map())).toEqual({ type: 'holdfast.unregistered', level: 'warn' })
    },
  )

  it('takes only bounded names with a namespace for own names', () => {
    expect(isOwnEventType('shop.coupon_abuse')).toBe(true)
    expect(isOwnEventType(`shop.${'x'.repeat(500)}`)).toBe(false)
    expect(isOwnEventType('shop')).toBe(false)
  })
})
