import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from '@jest/globals'
import { LocalTier } from '../../src/preferences/local.js'

const tierOf = (ttl = 60_000, maxBytes = 1_000_000): LocalTier<string> =>
  new LocalTier(ttl, maxBytes, (text) => 2 * text.length)

/** A fetch that answers when told to. */
function later(): { fetch: () => Promise<string>; answer: (value: string) => void; asked: () => number } {
  let answer = (_: string): void => {}
  let asked = 0
  const promise = new Promise<string>((resolve) => {
    answer = resolve
  })
  return {
    fetch: () => {
      asked++
      return promise
    },
    answer: (value) => answer(value),
    asked: () => asked,
  }
}

it('asks once for all who read at the same time, and not again while it is fresh', async () => {
  const tier = tierOf()
  const source = later()
  const reads = [1, 2, 3].map(() => tier.read('a', source.fetch))
  source.answer('x')
  expect(await Promise.all(reads)).toEqual(['x', 'x', 'x'])
  expect(await tier.read('a', source.fetch)).toBe('x')
  expect(source.asked()).toBe(1)
})

it('asks again once the time is over, and knows the last value meanwhile', async () => {
  const tier = tierOf(20)
  await tier.read('a', async () => 'old')
  await sleep(30)
  expect(await tier.read('a', async () => undefined)).toBeUndefined()
  expect(tier.last('a')).toBe('old')
  expect(await tier.read('a', async () => 'new')).toBe('new')
})

it.each(['forget', 'clear'] as const)(
  'does not keep what %s has overtaken, nor give it to who asks later',
  async (how) => {
    const tier = tierOf()
    const slow = later()
    const before = tier.read('a', slow.fetch)
    if (how === 'forget') tier.forget('a')
    else tier.clear()
    const after = tier.read('a', async () => 'new')
    slow.answer('old')
    expect([await before, await after]).toEqual(['old', 'new'])
    expect(tier.last('a')).toBe('new')
  },
)

it('holds no more bytes than it may; the longest unused go first', async () => {
  const tier = tierOf(60_000, 1000)
  const put = (key: string, size = 40): Promise<unknown> => tier.read(key, async () => 'x'.repeat(size))
  for (const key of ['a', 'b', 'c']) await put(key)
  await put('a')
  await put('d')
  expect(['a', 'b', 'c', 'd'].map((key) => tier.last(key) !== undefined)).toEqual([true, false, true, true])
  expect(tier.bytes).toBeLessThanOrEqual(1000)
  await put('huge', 1000)
  expect(tier.last('huge')).toBeUndefined()
  for (let i = 0; i < 1000; i++) await put(`k${i}`, i % 100)
  expect(tier.bytes).toBeLessThanOrEqual(1000)
  tier.clear()
  expect(tier.bytes).toBe(0)
})

it('goes on after a fetch that fails', async () => {
  const tier = tierOf()
  await expect(tier.read('a', () => Promise.reject(new Error('no')))).rejects.toThrow('no')
  expect(await tier.read('a', async () => 'x')).toBe('x')
})
