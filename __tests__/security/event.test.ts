import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { createDigest } from '../../src/security/digest.js'
import { type EventContext, makeEvent } from '../../src/security/event.js'
import { createNameTest, maskSecrets } from '../../src/security/redact.js'
import { cleanText } from '../../src/security/sanitise.js'
import { allSecrets } from './secrets.js'

const context: EventContext = {
  app: 'shop',
  host: 'web-1',
  digest: createDigest('a key for tests only'),
  isSecretName: createNameTest(['favouriteColour']),
}
const make = (details: unknown) =>
  makeEvent('ID', 1_700_000_000_000, { type: 'shop.test', level: 'info' }, details, context)

describe('makeEvent', () => {
  it('puts known fields into the schema and the rest into details', () => {
    const { event } = make({
      userId: 7,
      ip: '::ffff:192.0.2.1',
      status: 401,
      outcome: 'failure',
      amount: 12,
      tags: ['a'],
    })
    expect(JSON.parse(JSON.stringify(event))).toEqual({
      v: 1,
      id: 'ID',
      ts: '2023-11-14T22:13:20.000Z',
      app: 'shop',
      host: 'web-1',
      event: 'shop.test',
      level: 'info',
      outcome: 'failure',
      userId: '7',
      ip: '192.0.2.1',
      status: 401,
      details: { amount: 12, tags: ['a'] },
    })
  })

  it('keeps account names and session ids as keyed digests only', () => {
    const { event, json } = make({ account: 'alice@example.test', sessionId: 'the-session' })
    expect(event.account).toMatch(/^~[\w-]{16}$/)
    expect(event.session).toMatch(/^~[\w-]{16}$/)
    expect(json).not.toMatch(/alice|the-session/)
    expect(make({ account: 'alice@example.test' }).event.account).toBe(event.account)
  })

  it('takes the time of the event from `at`, and only from a valid one', () => {
    expect(make({ at: new Date(5) }).event.ts).toBe('1970-01-01T00:00:00.005Z')
    for (const at of [new Date(Number.NaN), -1, Number.POSITIVE_INFINITY, 1e300, 'yesterday']) {
      expect(make({ at }).event.ts).toBe('2023-11-14T22:13:20.000Z')
    }
  })

  it('leaves out an address that is none', () => {
    expect(make({ ip: '10.0.0.1, evil\r\n' }).event.ip).toBeUndefined()
  })

  it('lets none of hundreds of secrets pass, wherever they stand', () => {
    const secrets = allSecrets()
    expect(secrets.length).toBeGreaterThan(200)
    const readable = secrets.filter(({ details, leak }) => JSON.stringify(details).includes(leak))
    expect(readable.length).toBeGreaterThan(200)
    const leaked = secrets.filter(({ details, leak }) => make(details).json.includes(leak))
    expect(leaked).toEqual([])
  })

  it.each([
    'the shipping address of order 17 was changed',
    'GET /products/42?sort=price',
    'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36',
    '2026-11-21T01:15:25.000Z',
    'build 1700000000000 of 20231114',
    '9f3c2b1a-0d4e-4c6b-8a7f-1e2d3c4b5a69',
  ])('leaves %p as it is', (text) => {
    expect(cleanText(text)).toBe(text)
  })

  it('withholds fields that the application names', () => {
    expect(make({ favourite_colour: 'green' }).json).not.toContain('green')
  })

  it('does not take a numeric user id for a payment card', () => {
    expect(make({ userId: '4111111111111111' }).event.userId).toBe('4111111111111111')
    expect(make({ digits: 4111111111111111 }).event.details).toEqual({ digits: '[redacted]' })
  })

  it('keeps flags whose name sounds like a secret', () => {
    expect({ ...(make({ passwordChanged: true, token: null }).event.details as object) }).toEqual({
      passwordChanged: true,
      token: null,
    })
  })

  const hostile = () => {
    const cyclic: Record<string, unknown> = { a: 1 }
    cyclic.self = cyclic
    const throwing = {
      get bad() {
        throw new Error('getter')
      },
      fine: 1,
    }
    const trap = (): never => {
      throw new Error('trap')
    }
    const proxy = new Proxy(
      {},
      { ownKeys: trap, get: trap, has: trap, getPrototypeOf: trap, getOwnPropertyDescriptor: trap },
    )
    const revoked = Proxy.revocable({}, {})
    revoked.revoke()
    let deep: unknown = 'end'
    for (let i = 0; i < 10_000; i++) deep = { deep }
    return {
      cyclic,
      throwing,
      proxy,
      revoked: revoked.proxy,
      deep,
      bigint: 12n,
      symbol: Symbol('s'),
      fn: () => 1,
      huge: 'x'.repeat(10_000_000),
      wide: Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`k${i}`, i])),
      sparse: new Array(2 ** 32 - 1),
      nan: Number.NaN,
      date: new Date(Number.NaN),
      buffer: Buffer.alloc(1_000_000),
      map: new Map([[1, 2]]),
      error: Object.assign(new Error('boom\nline'), { config: { headers: { authorization: 'x' } } }),
      json: { toJSON: trap },
      surrogate: '\ud800',
      null: Object.create(null),
    }
  }

  it.each(Object.keys(hostile()))('survives %s', (name) => {
    for (const given of [{ value: hostile()[name as 'deep'] }, hostile()[name as 'deep']]) {
      const { json } = make(given)
      expect(Buffer.byteLength(json)).toBeLessThanOrEqual(8192)
      expect(() => JSON.parse(json)).not.toThrow()
      expect(json).not.toMatch(/[\n\r]/)
    }
  })

  it('survives all of it at once, bounded to 8 kB and marked as truncated', () => {
    const { json, event } = make({ ...hostile(), userId: 'u1' })
    expect(Buffer.byteLength(json)).toBeLessThanOrEqual(8192)
    expect(event.truncated).toBe(true)
    expect(event.userId).toBe('u1')
  })

  it('stays in bounds for events of long texts in many bytes', () => {
    const { json, event } = make(Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`k${i}`, '語'.repeat(900)])))
    expect(Buffer.byteLength(json)).toBeLessThanOrEqual(8192)
    expect(event.truncated).toBe(true)
  })

  it('makes one line that forges nothing out of any text', () => {
    const { json } = make({ note: 'a\r\n{"event":"forged"}\u2028\u001b[2Jx\u0007\u202e\u0085y', reason: 'x\ny' })
    expect(json).not.toMatch(/[\p{Cc}\p{Cf}\u2028\u2029]/u)
    expect(JSON.parse(json).details.note).toBe('a {"event":"forged"} x y')
  })

  it('cannot be used to reach a prototype', () => {
    const { event, json } = make(JSON.parse('{"__proto__":{"polluted":1},"constructor":{"prototype":{"x":1}},"a":1}'))
    expect(json).toContain('"details":{"a":1}')
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
    expect(Object.getPrototypeOf(event.details)).toBeNull()
  })

  it('never throws and stays bounded, whatever it is given', () => {
    fc.assert(
      fc.property(
        fc.anything({ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true }),
        (given) => {
          const { json } = make(given)
          expect(Buffer.byteLength(json)).toBeLessThanOrEqual(8192)
          expect(JSON.parse(json).v).toBe(1)
        },
      ),
    )
  })

  it('reads texts made to exhaust its patterns in linear time', () => {
    const texts = ['eyJ'.repeat(2000), 's:'.repeat(3000), '://'.repeat(2000), 'token'.repeat(1000), '1 '.repeat(3000)]
    const more = [
      '-----BEGIN '.repeat(400),
      'a:'.repeat(3000),
      'GB82'.repeat(1500),
      'http://a@'.repeat(600),
      '"'.repeat(6000),
    ]
    for (const text of [...texts, ...more]) {
      const started = performance.now()
      maskSecrets(text.slice(0, 4000))
      expect(performance.now() - started).toBeLessThan(1000)
    }
  })
})
