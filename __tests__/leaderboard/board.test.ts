import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { createLeaderboard, type Leaderboard, type Standing } from '../../src/leaderboard/index.js'
import type { RedisManager } from '../../src/redis/index.js'
import { closeAll, ready } from '../redis/support.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'

let server: RedisServer
let redis: RedisManager
let board: Leaderboard

beforeAll(async () => {
  server = await startRedis()
  ;({ redis } = await ready({ url: server.url, commandTimeout: '2s' }))
})
beforeEach(async () => {
  await server.client().flushall()
  board = createLeaderboard('chess', { redis })
})
afterAll(async () => {
  await closeAll()
  await server.stop()
})

const short = (standings: readonly Standing[]): string =>
  standings.map(({ member, score, rank, ordinal }) => `${ordinal}/${rank} ${member} ${score}`).join(', ')

describe('scores', () => {
  it('of 100 increments at the same time are all counted', async () => {
    await Promise.all(Array.from({ length: 100 }, () => board.increment('ann', 2)))
    expect(await board.rankOf('ann')).toMatchObject({ score: 200, rank: 1, total: 1 })
  })

  it('are set, added to, or kept at their best', async () => {
    expect(await board.add('ann', 10)).toEqual({ member: 'ann', score: 10, rank: 1, ordinal: 1, total: 1 })
    expect(await board.add('ann', 5)).toMatchObject({ score: 5 })
    expect(await board.best('ann', 3)).toMatchObject({ score: 5 })
    expect(await board.best('ann', 7)).toMatchObject({ score: 7 })
    expect(await board.increment('ann', -2.5)).toMatchObject({ score: 4.5 })
    expect(await board.increment('bob')).toMatchObject({ score: 1, rank: 2, total: 2 })
  })

  it('keep every digit of a double', async () => {
    const scores = [Number.MAX_SAFE_INTEGER, -Number.MAX_SAFE_INTEGER, 0.1 + 0.2, 5e-324, Number.MAX_VALUE, -0, 1e21]
    for (const [index, score] of scores.entries()) await board.add(`m${index}`, score)
    for (const [index, score] of scores.entries()) {
      expect((await board.rankOf(`m${index}`))?.score).toBe(score + 0)
    }
    await expect(board.increment('m4', Number.MAX_VALUE)).rejects.toMatchObject({ kind: 'OVERFLOW' })
    expect((await board.rankOf('m4'))?.score).toBe(Number.MAX_VALUE)
  })

  it('can be best where they are lowest', async () => {
    const race = createLeaderboard('race', { redis, order: 'lowest' })
    await race.best('ann', 61.2)
    await race.best('bob', 59.9)
    await race.best('bob', 70)
    expect(short(await race.top())).toBe('1/1 bob 59.9, 2/2 ann 61.2')
  })
})

describe('equal scores', () => {
  it('share a competition rank, and who reached theirs first comes first', async () => {
    await board.add('zoe', 10)
    await board.add('ann', 10)
    await board.add('bob', 20)
    await board.add('cid', 5)
    expect(short(await board.top())).toBe('1/1 bob 20, 2/2 zoe 10, 3/2 ann 10, 4/4 cid 5')
    // Who comes again to the score that they have keeps their place; who comes back to it does not.
    await board.add('zoe', 10)
    expect(short(await board.top(2, 1))).toBe('2/2 zoe 10, 3/2 ann 10')
    await board.increment('zoe', 1)
    await board.increment('zoe', -1)
    expect(short(await board.top(2, 1))).toBe('2/2 ann 10, 3/2 zoe 10')
  })

  it('are in the order of names where that is asked for', async () => {
    const plain = createLeaderboard('chess', { redis, ties: 'name' })
    for (const member of ['zoe', 'ann', 'bob']) await plain.add(member, 10)
    expect(short(await plain.top())).toBe('1/1 ann 10, 2/1 bob 10, 3/1 zoe 10')
    expect(await board.size()).toBe(0)
  })
})

describe('reading', () => {
  it('gives a rank, the total and the neighbours in one command', async () => {
    for (let i = 1; i <= 50; i++) await board.add(`m${i}`, Math.floor(i / 2))
    await server.client().config('RESETSTAT')
    const place = await board.rankOf('m30', { neighbours: 2 })
    const stats = await server.client().info('commandstats')
    expect(stats).toMatch(/cmdstat_evalsha:calls=1,/)
    expect(place).toMatchObject({ member: 'm30', score: 15, rank: 20, ordinal: 20, total: 50 })
    expect(short(place?.neighbours ?? [])).toBe('18/18 m32 16, 19/18 m33 16, 20/20 m30 15, 21/20 m31 15, 22/22 m28 14')
    expect(short((await board.rankOf('m50', { neighbours: 1 }))?.neighbours ?? [])).toBe('1/1 m50 25, 2/2 m48 24')
  })

  it('pages, and knows the rank of a page that begins within a tie', async () => {
    for (const member of ['a', 'b', 'c', 'd']) await board.add(member, 1)
    expect(short(await board.top(2, 2))).toBe('3/1 c 1, 4/1 d 1')
    expect(await board.top(10, 4)).toEqual([])
  })

  it('finds nothing of who has no score', async () => {
    expect(await board.rankOf('nobody', { neighbours: 3 })).toBeUndefined()
    expect(await board.top()).toEqual([])
    expect(await board.remove('nobody')).toBe(false)
  })
})

it('removes members and whole boards, and leaves nothing of them in Redis', async () => {
  await board.add('ann', 1)
  await board.add('bob', 2)
  expect(await board.remove('ann')).toBe(true)
  expect(await board.rankOf('ann')).toBeUndefined()
  expect(await board.size()).toBe(1)
  await board.clear()
  expect(await server.client().keys('*')).toEqual([])
})

it.each(['first', 'name'] as const)(
  'keeps the best %s maxSize members, and tells who was not among them',
  async (ties) => {
    const small = createLeaderboard('small', { redis, ties, maxSize: 3 })
    for (let i = 1; i <= 10; i++) await small.add(`m${i}`, i)
    expect(short(await small.top())).toBe('1/1 m10 10, 2/2 m9 9, 3/3 m8 8')
    expect(await small.add('late', 1)).toBeUndefined()
    expect(await small.rankOf('late')).toBeUndefined()
    const [, stamps] = (await server.client().keys('*')).sort()
    if (ties === 'first')
      expect((await server.client().hkeys(stamps as string)).sort()).toEqual(['', 'm10', 'm8', 'm9'])
  },
)

it('survives the eviction of either of its keys: no member is there twice, and the order stays', async () => {
  const daily = createLeaderboard('daily', { redis, period: 'daily' })
  for (const member of ['zoe', 'ann', 'bob']) await daily.add(member, 10)
  const [evicted = ''] = (await server.client().keys('*')).filter((key) => key.endsWith(':stamps'))
  await server.client().del(evicted)
  expect(await daily.rankOf('ann')).toMatchObject({ rank: 1, ordinal: 2, total: 3 })
  expect(await server.client().pttl(evicted)).toBeGreaterThan(0)
  await server.client().del(evicted)
  await daily.increment('zoe')
  await daily.add('cid', 10)
  expect(short(await daily.top())).toBe('1/1 zoe 11, 2/2 ann 10, 3/2 bob 10, 4/2 cid 10')
  await server.client().del(evicted.replace(':stamps', ''))
  expect(await daily.rankOf('ann')).toBeUndefined()
  await daily.add('ann', 1)
  expect(short(await daily.top())).toBe('1/1 ann 1')
})

describe('periods', () => {
  const clock = { at: Date.parse('2026-11-21T12:00:00Z') }
  const daily = (): Leaderboard =>
    createLeaderboard('daily', {
      redis,
      period: 'daily',
      timeZone: 'Europe/Berlin',
      retention: '7d',
      now: () => clock.at,
    })

  it('begin at midnight of the time zone; earlier ones can be read', async () => {
    clock.at = Date.parse('2026-11-21T22:59:00Z')
    await daily().add('ann', 5)
    clock.at = Date.parse('2026-11-21T23:01:00Z')
    expect(await daily().size()).toBe(0)
    await daily().add('bob', 6)
    expect(short(await daily().top(10, 0, { at: new Date('2026-11-21T12:00:00Z') }))).toBe('1/1 ann 5')
    expect(short(await daily().top())).toBe('1/1 bob 6')
    expect(await daily().rankOf('ann', { at: clock.at - 3_600_000 })).toMatchObject({ rank: 1 })
  })

  it('expire after their retention, every key of them', async () => {
    await daily().add('ann', 5)
    const keys = await server.client().keys('*')
    expect(keys).toHaveLength(2)
    for (const key of keys) {
      const ttl = await server.client().pttl(key)
      expect(ttl).toBeGreaterThan(8 * 86_400_000)
      expect(ttl).toBeLessThanOrEqual(8 * 86_400_000 + 3_600_000)
    }
  })

  it('do not expire where there is one board for ever', async () => {
    await board.add('ann', 1)
    for (const key of await server.client().keys('*')) expect(await server.client().pttl(key)).toBe(-1)
  })
})

it('is what a sorted list would be, whatever is done', async () => {
  const step = fc.record({
    how: fc.constantFrom('add' as const, 'increment' as const, 'best' as const, 'remove' as const),
    member: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
    value: fc.integer({ min: -3, max: 3 }),
  })
  let run = 0
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const real = createLeaderboard(`model ${run++}`, { redis })
      const model = new Map<string, { score: number; since: number }>()
      for (const [since, { how, member, value }] of steps.entries()) {
        const before = model.get(member)?.score
        if (how === 'remove') {
          await real.remove(member)
          model.delete(member)
          continue
        }
        await real[how](member, value)
        const score =
          how === 'add' ? value : how === 'increment' ? (before ?? 0) + value : Math.max(before ?? value, value)
        if (score !== before) model.set(member, { score, since })
      }
      const sorted = [...model].sort(([, a], [, b]) => b.score - a.score || a.since - b.since)
      const expected = sorted.map(([member, { score }], index) => ({
        member,
        score,
        rank: sorted.findIndex(([, other]) => other.score === score) + 1,
        ordinal: index + 1,
      }))
      expect(await real.top(100)).toEqual(expected)
      for (const standing of expected) {
        expect(await real.rankOf(standing.member)).toMatchObject({ ...standing, total: expected.length })
      }
    }),
    { numRuns: 40 },
  )
})

describe('bad input', () => {
  it.each(['a:b', '{x}', '*', 'a\r\nb', '__proto__', '0000000000000001', 'ü€𝄞', ' ', 7])(
    '%j is a member as any other',
    async (member) => {
      await board.add(member, 1)
      expect((await board.top())[0]?.member).toBe(String(member))
      expect(await board.remove(member)).toBe(true)
    },
  )

  it.each<unknown>(['', undefined, null, {}, Number.NaN, '\ud800', 'x'.repeat(513), 'ü'.repeat(257)])(
    'member %j is refused',
    async (member) => {
      const refused = { code: 'ERR_HOLDFAST_LEADERBOARD_VALUE' }
      await expect(board.add(member as string, 1)).rejects.toMatchObject(refused)
      await expect(board.rankOf(member as string)).rejects.toMatchObject(refused)
    },
  )

  it.each<unknown>([Number.NaN, Number.POSITIVE_INFINITY, '5', undefined, 5n])('score %s is refused', async (score) => {
    await expect(board.add('ann', score as number)).rejects.toMatchObject({ code: 'ERR_HOLDFAST_LEADERBOARD_VALUE' })
    expect(await board.size()).toBe(0)
  })

  it('counts, offsets and times out of their range are refused', async () => {
    const refused = { code: 'ERR_HOLDFAST_LEADERBOARD_VALUE' }
    await expect(board.top(0)).rejects.toMatchObject(refused)
    await expect(board.top(1001)).rejects.toMatchObject(refused)
    await expect(board.top(1, -1)).rejects.toMatchObject(refused)
    await expect(board.rankOf('ann', { neighbours: 101 })).rejects.toMatchObject(refused)
    const daily = createLeaderboard('daily', { redis, period: 'daily' })
    await expect(daily.top(1, 0, { at: new Date('no date') })).rejects.toMatchObject(refused)
  })

  it('foreign data under its keys is an error and stays as it is', async () => {
    await server.client().set('holdfast:leaderboard:{chess}:highest-first:all', 'mine')
    await expect(board.add('ann', 1)).rejects.toMatchObject({ code: 'ERR_HOLDFAST_REDIS_COMMAND', kind: 'WRONGTYPE' })
    await expect(board.top()).rejects.toMatchObject({ kind: 'WRONGTYPE' })
    expect(await server.client().get('holdfast:leaderboard:{chess}:highest-first:all')).toBe('mine')
  })

  it.each<[string, object]>([
    ['', {}],
    ['x', { timeZone: 'Mars/Olympus' }],
    ['x', { period: 'hourly' }],
    ['x', { maxSize: 0 }],
    ['x', { colour: 'red' }],
  ])('createLeaderboard(%j, %j) is a ConfigurationError', (name, options) => {
    expect(() => createLeaderboard(name, { redis, ...options })).toThrow(
      expect.objectContaining({ code: 'ERR_HOLDFAST_CONFIG' }),
    )
  })
})

it('uses no command that is newer than Redis 6.2', () => {
  const source = readFileSync(join(__dirname, '../../src/leaderboard/scripts.ts'), 'utf8')
  const used = [...source.matchAll(/redis\.call\('(\w+)'/g)].map(([, name]) => name)
  const known = 'HGET HSET HDEL HINCRBY ZADD ZREM ZRANK ZSCORE ZCARD ZCOUNT ZRANGE PEXPIRE EXISTS PTTL'.split(' ')
  expect(known).toEqual(expect.arrayContaining([...new Set(used)]))
  expect(source).not.toMatch(/'ZR(EV)?RANK'[^)]*WITHSCORE/i)
})
