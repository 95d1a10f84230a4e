import type { BatchCommand, RedisManager } from '../redis/index.js'
import { batch } from '../redis/index.js'
import type { Address } from './address.js'
import type { SessionEnd } from './events.js'
import { referenceOf, tagOfUser } from './id.js'

export interface SessionStatistics {
  /** Sessions that live now. */
  readonly active: number
  /** The hours asked for, oldest first. */
  readonly hours: readonly SessionHour[]
}

export interface SessionHour {
  /** Begin of the hour, in Unix ms. */
  readonly from: number
  readonly created: number
  /** By reason; `expired` counts in the hour in which it was noticed. */
  readonly ended: Readonly<Record<string, number>>
  /** Different users who logged in, within 1 % (HyperLogLog). */
  readonly users: number
}

const HOUR = 3_600_000
const FLUSH_AFTER = 1000
const MOST_BUFFERED = 10_000

/**
 * Counts what happens to sessions, without a profile of anybody. Collected here and told to Redis once a second, so
 * that no request waits for it; what an outage finds here is counted after it, up to a bound.
 */
export class Statistics {
  readonly #redis: RedisManager
  readonly #live = new Map<string, number | undefined>()
  readonly #counts = new Map<string, number>()
  readonly #users = new Map<number, Set<string>>()
  #timer: NodeJS.Timeout | undefined

  constructor(redis: RedisManager) {
    this.#redis = redis
  }

  created({ hash }: Address, userId: string | undefined, idle: number): void {
    const now = Date.now()
    this.#count(now, 'created')
    if (userId !== undefined) {
      const users = this.#users.get(hourOf(now)) ?? new Set()
      this.#users.set(hourOf(now), users.add(tagOfUser(userId)))
    }
    this.seen(hash, now + idle)
  }

  seen(hash: string, expiresAt: number): void {
    if (this.#live.size < MOST_BUFFERED) this.#live.set(referenceOf(hash), expiresAt)
    this.#later()
  }

  ended(hash: string, reason: SessionEnd): void {
    this.#count(Date.now(), `ended:${reason}`)
    if (this.#live.size < MOST_BUFFERED) this.#live.set(referenceOf(hash), undefined)
    this.#later()
  }

  renewed(before: string, { hash }: Address, idle: number): void {
    if (this.#live.size < MOST_BUFFERED) this.#live.set(referenceOf(before), undefined)
    this.seen(hash, Date.now() + idle)
  }

  async read(hours: number): Promise<SessionStatistics> {
    await this.flush()
    const now = Date.now()
    const starts = Array.from({ length: hours }, (_, i) => hourOf(now) - (hours - 1 - i) * HOUR)
    const replies = await this.#redis.execute(
      'session.stats',
      (client) =>
        batch(client, [
          ['zcount', this.#key('live'), now, '+inf'],
          ...starts.flatMap((from): BatchCommand[] => [
            ['hgetall', this.#key('hour', from)],
            ['pfcount', this.#key('users', from)],
          ]),
        ]),
      { deadline: 1000 },
    )
    return {
      active: Number(replies[0]?.[1] ?? 0),
      hours: starts.map((from, i) => {
        const counts = (replies[1 + 2 * i]?.[1] ?? {}) as Record<string, string>
        const ended = Object.entries(counts).filter(([name]) => name.startsWith('ended:'))
        return {
          from,
          created: Number(counts.created ?? 0),
          ended: Object.fromEntries(ended.map(([name, count]) => [name.slice(6), Number(count)])),
          users: Number(replies[2 + 2 * i]?.[1] ?? 0),
        }
      }),
    }
  }

  /** Tells Redis what was collected. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (!this.#redis.available) return this.#later()
    const now = Date.now()
    const live = this.#key('live')
    const commands: BatchCommand[] = []
    for (const [session, expiresAt] of this.#live) {
      commands.push(expiresAt === undefined ? ['zrem', live, session] : ['zadd', live, expiresAt, session])
    }
    for (const [name, count] of this.#counts) {
      const [from, field] = split(name)
      commands.push(['hincrby', this.#key('hour', from), field, count])
      commands.push(['pexpire', this.#key('hour', from), KEPT])
    }
    for (const [from, users] of this.#users) {
      commands.push(['pfadd', this.#key('users', from), ...users])
      commands.push(['pexpire', this.#key('users', from), KEPT])
    }
    this.#live.clear()
    this.#counts.clear()
    this.#users.clear()
    const expired = await this.#redis.attempt(
      'session.stats',
      async (client) => {
        const replies = await batch(client, [...commands, ['zremrangebyscore', live, '-inf', now]])
        return Number(replies.at(-1)?.[1] ?? 0)
      },
      () => 0,
    )
    if (expired > 0) this.#count(now, 'ended:expired', expired)
  }

  close(): void {
    clearTimeout(this.#timer)
  }

  #count(now: number, field: string, by = 1): void {
    const name = `${hourOf(now)} ${field}`
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + by)
    this.#later()
  }

  #later(): void {
    this.#timer ??= setTimeout(() => void this.flush(), FLUSH_AFTER).unref()
  }

  #key(...parts: (string | number)[]): string {
    return this.#redis.keys.key('session-stats', ...parts)
  }
}

const KEPT = 8 * 24 * HOUR

function hourOf(time: number): number {
  return Math.floor(time / HOUR) * HOUR
}

function split(name: string): [from: number, field: string] {
  const at = name.indexOf(' ')
  return [Number(name.slice(0, at)), name.slice(at + 1)]
}
