import { toMs } from '../shared/duration.js'
import { ConfigurationError } from '../shared/errors.js'
import { checkOptions, requireOptions } from '../shared/options.js'
import type { LeaderboardOutcome } from './events.js'
import { aCount, aMember, aScore, aTime, boardRules, type LeaderboardOptions } from './options.js'
import { LONGEST, periodNamer } from './period.js'
import { rankScript, removeScript, type SliceReply, type StandingReply, sliceScript, writeScript } from './scripts.js'

/** A member's place. */
export interface Standing {
  readonly member: string
  readonly score: number
  /** Competition rank, from 1: equal scores share a rank, and the next rank is left out (1, 2, 2, 4). */
  readonly rank: number
  /** Ordinal rank, from 1: no two members share one (1, 2, 3, 4). */
  readonly ordinal: number
}

export interface Placing extends Standing {
  /** Members of the board. */
  readonly total: number
}

export interface PlacingAmong extends Placing {
  /** The members around, best first, the member itself among them. */
  readonly neighbours: readonly Standing[]
}

/** Which board to look at where there is one per period. */
export interface BoardAt {
  /** Any time within the period. @default now */
  readonly at?: Date | number | undefined
}

/**
 * Members by score. Redis is the only place that knows them: every method rejects with `RedisUnavailableError` while it
 * is away, and with its reason `timeout` or `lost` a score may or may not have been counted.
 *
 * Writes go to the board of the present period and resolve to the member's new place; `undefined` where it is not among
 * the best `maxSize`.
 */
export interface Leaderboard {
  /** Sets the score, better or worse. */
  add(member: string | number, score: number): Promise<Placing | undefined>
  /** Adds to the score, which begins at 0. After an outcome that is unknown, repeating it may count twice. */
  increment(member: string | number, by?: number): Promise<Placing | undefined>
  /** Sets the score where it is better than the member's best so far. */
  best(member: string | number, score: number): Promise<Placing | undefined>
  /** The best, up to 1,000 at once. @default 10, from the first */
  top(count?: number, offset?: number, board?: BoardAt): Promise<readonly Standing[]>
  /** Score, ranks, total and up to 100 neighbours on each side in one round trip; `undefined` for who has no score. */
  rankOf(
    member: string | number,
    options?: BoardAt & { readonly neighbours?: number | undefined },
  ): Promise<PlacingAmong | undefined>
  /** True where the member had a score. */
  remove(member: string | number, board?: BoardAt): Promise<boolean>
  size(board?: BoardAt): Promise<number>
  /** Removes every member. */
  clear(board?: BoardAt): Promise<void>
}

const HOW = { add: 'set', increment: 'add', best: 'best' } as const

/**
 * The leaderboard of this name, the same in every process. Boards that differ in `order`, `ties` or `period` are
 * different boards, whatever their name. Throws a `ConfigurationError` for options out of their range.
 *
 * @example
 * ```ts
 * import { createLeaderboard, createRedisManager } from 'holdfast'
 *
 * const redis = createRedisManager()
 * const board = createLeaderboard('chess', { redis, period: 'weekly', timeZone: 'Europe/Berlin' })
 * await board.increment('ann', 3)
 * const place = await board.rankOf('ann', { neighbours: 2 })
 * console.log(place?.rank, place?.total)
 * ```
 */
export function createLeaderboard(name: string, options: LeaderboardOptions): Leaderboard {
  if (typeof name !== 'string' || name === '') {
    throw new ConfigurationError('createLeaderboard', 'name', 'must be a non-empty string')
  }
  checkOptions('createLeaderboard', options, boardRules)
  requireOptions('createLeaderboard', options, boardRules, 'redis')
  const { redis, order = 'highest', ties = 'first', period, timeZone = 'UTC', retention = '30d' } = options
  const { maxSize = 0, now = Date.now } = options
  const sign = order === 'highest' ? -1 : 1
  const stamped = ties === 'first' ? '1' : '0'
  const expiry = period === undefined ? 0 : LONGEST[period] + Math.ceil(toMs(retention))
  const periodOf = period === undefined ? undefined : periodNamer(period, timeZone)

  function keysAt(at: Date | number | undefined): [board: string, stamps: string] {
    const parts = [`${order}-${ties}`, periodOf === undefined ? 'all' : periodOf(at === undefined ? now() : aTime(at))]
    const slot = redis.keys.slot(name)
    return [redis.keys.key('leaderboard', slot, ...parts), redis.keys.key('leaderboard', slot, ...parts, 'stamps')]
  }

  /** Zero has no sign: Redis would keep and show it. */
  const stored = (score: number): number => sign * score + 0
  const scoreOf = (text: string): number => sign * Number(text) + 0
  const memberOf = (element: string): string => (stamped === '1' ? element.slice(16) : element)

  function placing(member: string, [score, rank, ordinal, total]: StandingReply): Placing {
    return { member, score: scoreOf(score), rank, ordinal, total }
  }

  function standings([from, rankOfFirst, flat]: SliceReply): Standing[] {
    const found: Standing[] = []
    for (let i = 0; i < flat.length; i += 2) {
      const ordinal = from + i / 2 + 1
      const score = scoreOf(flat[i + 1] as string)
      const before = found.at(-1)
      const rank = before === undefined ? rankOfFirst : before.score === score ? before.rank : ordinal
      found.push({ member: memberOf(flat[i] as string), score, rank, ordinal })
    }
    return found
  }

  async function observed<T>(operation: LeaderboardOutcome['operation'], call: () => Promise<T>): Promise<T> {
    if (!redis.listens('leaderboard')) return call()
    const started = performance.now()
    let outcome: LeaderboardOutcome['outcome'] = 'failed'
    try {
      const result = await call()
      outcome = result === undefined || result === false ? 'absent' : 'done'
      return result
    } finally {
      redis.emit('leaderboard', { board: name, operation, outcome, durationMs: performance.now() - started })
    }
  }

  async function write(
    operation: 'add' | 'increment' | 'best',
    who: string | number,
    value: number,
  ): Promise<Placing | undefined> {
    const member = aMember(who)
    const keys = keysAt(undefined)
    const args = [stamped, HOW[operation], member, stored(value), maxSize, expiry]
    return observed(operation, async () => {
      const reply = await redis.execute('leaderboard.write', (client) => writeScript.run(client, keys, args))
      return reply === null ? undefined : placing(member, reply)
    })
  }

  return {
    add: async (member, score) => write('add', member, aScore(score)),
    increment: async (member, by = 1) => write('increment', member, aScore(by, 'by')),
    best: async (member, score) => write('best', member, aScore(score)),
    async top(count = 10, offset = 0, { at } = {}) {
      const from = aCount('offset', offset, 0, Number.MAX_SAFE_INTEGER / 2)
      const to = from + aCount('count', count, 1, 1000) - 1
      const keys = keysAt(at)
      return observed('top', async () =>
        standings(
          await redis.execute('leaderboard.top', (client) => sliceScript.run(client, keys, [stamped, from, to])),
        ),
      )
    },
    async rankOf(who, { at, neighbours = 0 } = {}) {
      const member = aMember(who)
      const args = [stamped, member, aCount('neighbours', neighbours, 0, 100)]
      const keys = keysAt(at)
      return observed('rank', async () => {
        const reply = await redis.execute('leaderboard.rank', (client) => rankScript.run(client, keys, args))
        return reply === null ? undefined : { ...placing(member, reply[0]), neighbours: standings(reply[1]) }
      })
    },
    async remove(who, { at } = {}) {
      const args = [stamped, aMember(who)]
      const keys = keysAt(at)
      return observed('remove', async () => {
        return (await redis.execute('leaderboard.remove', (client) => removeScript.run(client, keys, args))) === 1
      })
    },
    async size({ at } = {}) {
      const [board] = keysAt(at)
      return observed('size', () => redis.execute('leaderboard.size', (client) => client.zcard(board)))
    },
    async clear({ at } = {}) {
      const keys = keysAt(at)
      await observed('clear', () => redis.execute('leaderboard.clear', (client) => client.unlink(keys)))
    },
  }
}
