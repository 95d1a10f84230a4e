import { createRequire } from 'node:module'
import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { signedId } from '../../src/session/cookie.js'

const ofExpressSession = createRequire(require.resolve('express-session'))
const { parse } = ofExpressSession('cookie') as { parse(header: string): Record<string, string> }
const { sign, unsign } = ofExpressSession('cookie-signature') as {
  sign(value: string, secret: string): string
  unsign(value: string, secret: string): string | false
}

const NAME = 'sid'
const SECRETS = ['the new secret', 'the old secret']

/** What express-session finds in a header: its `getcookie`. */
function expected(header: string): string | undefined {
  const raw = parse(header)[NAME]
  if (raw?.slice(0, 2) !== 's:') return undefined
  const ids = SECRETS.map((secret) => unsign(raw.slice(2), secret))
  return ids.find((id) => id !== false && id !== '') as string | undefined
}

const space = fc.constantFrom('', ' ', '\t', '  ', '\u00a0')
const id = fc.oneof(fc.stringMatching(/^[A-Za-z0-9_-]{0,20}$/), fc.string({ maxLength: 12 }), fc.constant('a.b.c'))
const signed = fc
  .tuple(id, fc.constantFrom(...SECRETS, 'another secret'), fc.constantFrom('s:', 's%3A', 's%3a', 'S:', ''))
  .map(([value, secret, prefix]) => [prefix, sign(value, secret)] as const)
const value = fc.oneof(
  signed.map(([prefix, text]) => prefix + encodeURIComponent(text)),
  signed.map(([prefix, text]) => prefix + text),
  signed.map(([prefix, text]) => `"${prefix}${text}"`),
  signed.map(([prefix, text]) => prefix + text.slice(0, -1)),
  fc.string({ maxLength: 10 }),
  fc.constantFrom('', '"', '%', 's:%E0%A4%A', 's:.', 's:', 's'),
)
const pair = fc
  .tuple(space, fc.constantFrom(NAME, NAME, 'xsid', 'sid2', 'SID', ''), space, space, value, space)
  .map(([a, name, b, c, text, d]) => `${a}${name}${b}=${c}${text}${d}`)
const header = fc
  .array(fc.oneof({ weight: 5, arbitrary: pair }, fc.constantFrom('sid', ';', ' ', '=')), { maxLength: 5 })
  .map((pairs) => pairs.join(';'))

describe('the id in a cookie', () => {
  it('is the one that express-session would find, whatever the header', () => {
    fc.assert(
      fc.property(header, (text) => {
        expect(signedId(text, NAME, SECRETS)).toBe(expected(text))
      }),
      { numRuns: 3000 },
    )
  })

  it('is found where it was signed with any of the secrets', () => {
    for (const secret of SECRETS) expect(signedId(`a=b; sid=s:${sign('one', secret)}`, NAME, SECRETS)).toBe('one')
  })
})
