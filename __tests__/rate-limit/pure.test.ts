import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { conclude, decisionOf, remembered, stateOf } from '../../src/rate-limit/decision.js'
import { DenyCache } from '../../src/rate-limit/deny-cache.js'
import { valuesOf } from '../../src/rate-limit/headers.js'
import { MemoryLimiter } from '../../src/rate-limit/memory.js'
import { nameFor, toPolicy } from '../../src/rate-limit/policy.js'
import { accountOf } from '../../src/rate-limit/presets/account.js'
import { storedId } from '../../src/rate-limit/principal.js'
import { prefersText } from '../../src/rate-limit/refusal.js'
import { mostInAnyWindow } from './windows.js'

const policy = (limit: number, windowMs = 60_000, name = 'p') => toPolicy({ name, limit, window: windowMs }, 'sliding')

describe('the tightest policy', () => {
  const [wide, tight] = [policy(100, 1000, 'wide'), policy(10, 1000, 'tight')]

  it('is the one with the smallest part left, or with the longest wait where refused', () => {
    const allowed = [stateOf(wide, 95, 0, 5), stateOf(tight, 9, 0, 5)]
    expect(conclude(true, false, 0, allowed, 'redis', 0).tightest.name).toBe('wide')
    const refused = [stateOf(wide, 50, 0, 5), stateOf(tight, 10, 70, 5)]
    expect(conclude(false, false, 0, refused, 'redis', 0)).toMatchObject({
      tightest: { name: 'tight' },
      retryAfterMs: 70,
    })
  })

  it('yields to a block', () => {
    const decision = decisionOf([2, 1000, 5000, 0, 10, 70, 70], [tight])
    expect(decision).toMatchObject({ allowed: false, blocked: true, retryAfterMs: 5000, at: 1000 })
  })

  it('ages with the seconds', () => {
    const decision = decisionOf([0, 1000, 0, 0, 10, 900, 500], [tight])
    expect(remembered(decision, 600)).toMatchObject({
      source: 'local',
      retryAfterMs: 600,
      tightest: { retryAfterMs: 600, resetMs: 200 },
      at: 1300,
    })
  })
})

describe('numbers in headers', () => {
  it('are whole, never negative, never NaN, and never promise what is not there', () => {
    const numbers = fc.record({ used: fc.nat(2e9), limit: fc.integer({ min: 1, max: 1e9 }), ms: fc.nat(2 ** 31 - 1) })
    fc.assert(
      fc.property(numbers, ({ used, limit, ms }) => {
        const state = stateOf(policy(limit), used, ms, ms)
        const decision = conclude(used <= limit, false, 0, [state], 'redis', 1_800_000_000_000)
        for (const style of ['draft-11', 'draft-7', 'draft-6', 'legacy'] as const) {
          for (const value of valuesOf(style, decision)) {
            expect(value).not.toMatch(/NaN|Infinity|-\d|\d\.\d|undefined/)
          }
        }
        expect(valuesOf('legacy', decision)[1]).toBe(String(Math.max(0, limit - used)))
      }),
    )
  })
})

describe('whoever asks for text', () => {
  it.each([
    [undefined, false],
    ['*/*', false],
    ['application/json', false],
    ['text/plain', true],
    ['text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', true],
    ['application/json, text/plain, */*', false],
    ['text/plain;q=0.5, application/json', false],
    ['text/*, application/json;q=0.1', true],
    ['text/plain;q=0', false],
    ['text/plain;q=x', false],
    [`text/plain,${'x'.repeat(100_000)}`, true],
  ])('%s: %s', (accept, expected) => {
    expect(prefersText(accept)).toBe(expected)
  })
})

describe('names', () => {
  it.each([
    [100, '1m', '100-in-1m'],
    [5, '90s', '5-in-90s'],
    [1, 250, '1-in-250ms'],
    [1000, '1d', '1000-in-1d'],
    [1000, '36h', '1000-in-36h'],
    [undefined, '1h', 'limit-in-1h'],
  ] as const)('%p in %p is %s', (limit, window, expected) => {
    expect(nameFor(limit, window)).toBe(expected)
  })
})

describe('ids in keys', () => {
  it('stay as they are up to 64 characters and become digests beyond, without colliding', () => {
    expect(storedId('ada', undefined)).toBe('ada')
    expect(storedId('x'.repeat(64), undefined)).toHaveLength(64)
    const digest = storedId('x'.repeat(65), undefined)
    expect(digest).toHaveLength(23)
    expect(storedId(digest, undefined)).not.toBe(digest)
  })

  it('are HMACs with a secret', () => {
    expect(storedId('ada', 'a'.repeat(16))).not.toBe(storedId('ada', 'b'.repeat(16)))
    expect(storedId('ada', 'a'.repeat(16))).toMatch(/^[\w-]{22}$/)
  })
})

describe('accounts', () => {
  it.each([
    ['Ada@Example.COM ', 'ada@example.com'],
    ['ＡＤＡ', 'ada'],
    [42, '42'],
    ['', undefined],
    ['  ', undefined],
    [undefined, undefined],
    [['ada'], undefined],
    [{ $ne: '' }, undefined],
  ])('%p is %p', (given, expected) => {
    expect(accountOf(given)).toBe(expected)
  })
})

describe('the deny cache', () => {
  const policies = [policy(10)]
  const refused = decisionOf([0, 0, 0, 0, 10, 2000, 2000], policies)

  it('answers until the wait is over, counted from before the question', () => {
    const cache = new DenyCache(10)
    cache.add('a', policies, 1, refused, 1000)
    expect(cache.find('a', policies, 1, 2999)).toMatchObject({ freeAt: 3000 })
    expect(cache.find('a', policies, 1, 3000)).toBeUndefined()
    expect(cache.find('b', policies, 1, 2000)).toBeUndefined()
  })

  it('asks again after five seconds at the latest, and hands over how often it answered', () => {
    const cache = new DenyCache(10)
    const long = decisionOf([0, 0, 0, 0, 10, 60_000, 60_000], policies)
    cache.add('a', policies, 1, long, 0)
    const entry = cache.find('a', policies, 1, 4999)
    if (entry !== undefined) entry.repeated = 7
    expect(cache.find('a', policies, 1, 5000)).toBeUndefined()
    expect(cache.add('a', policies, 1, long, 5000)).toBe(7)
  })

  it('answers no smaller cost and no larger limit, unless the caller is blocked', () => {
    const cache = new DenyCache(10)
    cache.add('a', policies, 5, refused, 0)
    expect(cache.find('a', policies, 4, 1)).toBeUndefined()
    expect(cache.find('a', [policy(11)], 5, 1)).toBeUndefined()
    expect(cache.find('a', [policy(9)], 6, 1)).toBeDefined()
    expect(cache.find('a', [policy(10, 1000)], 5, 1)).toBeUndefined()
    cache.add('a', policies, 5, decisionOf([2, 0, 9000, 0, 0, 0, 0], policies), 0)
    expect(cache.find('a', [policy(999)], 0, 1)).toBeDefined()
  })

  it('keeps the newest', () => {
    const cache = new DenyCache(100)
    for (let i = 0; i < 100_000; i++) cache.add(String(i), policies, 1, refused, 0)
    expect(cache.size).toBe(100)
    expect(cache.find('99999', policies, 1, 1)).toBeDefined()
  })
})

describe('counting in memory', () => {
  it('shares a limit among processes and charges all policies or none', () => {
    const memory = new MemoryLimiter(4)
    const policies = [policy(8, 60_000, 'a'), policy(100, 60_000, 'b')]
    expect([1, 2, 3].map(() => memory.take('k', policies, 1, 0, 1000).allowed)).toEqual([true, true, false])
    expect(memory.take('k', policies, 1, 0, 1000).policies.map(({ used }) => used)).toEqual([2, 2])
  })

  it('never admits more than the limit in any window', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(900), { maxLength: 200 }), fc.constantFrom(3, 100, 101, 250), (gaps, limit) => {
        const memory = new MemoryLimiter(1)
        const admitted: { at: number; points: number }[] = []
        let at = 0
        for (const gap of gaps) {
          at += gap
          for (let i = 0; i < 20; i++) {
            if (memory.take('k', [policy(limit, 1000)], 1, 0, at).allowed) admitted.push({ at, points: 1 })
          }
        }
        expect(mostInAnyWindow(admitted, 1000)).toBeLessThanOrEqual(limit)
      }),
      { numRuns: 50 },
    )
  })

  it('blocks, and refunds', () => {
    const memory = new MemoryLimiter(1)
    const it = [policy(1, 1000)]
    memory.take('k', it, 1, 10_000, 0)
    expect(memory.take('k', it, 1, 10_000, 1)).toMatchObject({ allowed: false, blocked: true, retryAfterMs: 10_000 })
    expect(memory.take('k', it, 1, 10_000, 10_001).allowed).toBe(true)
    memory.take('r', it, 1, 0, 5)
    memory.refund('r', it, 1, 5)
    expect(memory.take('r', it, 1, 0, 6).allowed).toBe(true)
  })

  it('is bounded, and strangers push out nobody who is refused', () => {
    const memory = new MemoryLimiter(1, 50)
    const it = [policy(1)]
    for (let i = 0; i < 10; i++) for (let n = 0; n < 2; n++) memory.take(`attacker-${i}`, it, 1, 60_000, 0)
    for (let i = 0; i < 5000; i++) memory.take(`stranger-${i}`, [policy(5)], 1, 60_000, 1)
    expect(memory.size).toBe(50)
    for (let i = 0; i < 10; i++) expect(memory.take(`attacker-${i}`, it, 1, 60_000, 2).allowed).toBe(false)
  })
})
