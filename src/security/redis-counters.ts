import { type BatchCommand, type BatchReply, batch, type RedisManager } from '../redis/index.js'
import { type Asked, type Counters, createLocalCounters, DEFAULT_CAP, NOTHING } from './counters.js'
import type { Reading, SeriesMeasure, SetMeasure } from './detectors/detector.js'
import type { Digest } from './digest.js'

export interface RedisCountersOptions {
  readonly redis: RedisManager
  /** Names of keys are seen by more people than values: they hold no users and no addresses. */
  readonly digest: Digest
  /** Most counters this process keeps alive; the least recently used are deleted first. */
  readonly maxKeys: number
}

/** Remembered for Redis while it is away; what is older is lost, and with it some of the view over all processes. */
const MAX_MISSED = 5000
const PIECE = 60

/**
 * Counters shared by all processes, a batch of signals in one round trip. Without Redis this process counts alone, so
 * thresholds are reached later by an attack spread over processes; what was counted meanwhile is added to Redis on its
 * return, which is exact, since adding a member twice is adding it once.
 */
export function createRedisCounters({ redis, digest, maxKeys }: RedisCountersOptions): Counters {
  const local = createLocalCounters({ maxKeys })
  const live = new Map<string, number>()
  let missed: Asked[] = []

  const keyOf = (key: string): string => counterKey(redis, digest, key)

  function touch(key: string, commands: BatchCommand[]): void {
    live.delete(key)
    live.set(key, 0)
    if (live.size <= maxKeys) return
    const [oldest] = live.keys()
    if (oldest === undefined) return
    live.delete(oldest)
    commands.push(['unlink', keyOf(oldest)])
  }

  /** Commands of one measure; its reading is read off the replies from `first` on. */
  function plan(asked: Asked, commands: BatchCommand[], tallies: Map<string, Tally>): Plan {
    const { measure, at } = asked
    if (measure.op === 'tally') return planTally(measure, at, tallies)
    const first = commands.length
    const key = keyOf(measure.key)
    const { op, member = '', window, cap = DEFAULT_CAP, entries = false } = measure
    if (op === 'clear') {
      commands.push(['unlink', key])
      return () => NOTHING
    }
    if (op === 'read') {
      commands.push(
        entries
          ? ['zrangebyscore', key, `(${at - window}`, '+inf', 'WITHSCORES']
          : ['zcount', key, `(${at - window}`, '+inf'],
      )
      return (replies) => reading(measure, false, replies[first])
    }
    commands.push(
      ['zremrangebyscore', key, '-inf', at - window],
      ['zadd', key, 'GT', at, member],
      ['zremrangebyrank', key, 0, -(cap + 1)],
      entries ? ['zrange', key, 0, -1, 'WITHSCORES'] : ['zcard', key],
      ['pexpire', key, window],
    )
    touch(measure.key, commands)
    return (replies) => reading(measure, replies[first + 1]?.[1] === 1, replies[first + 3])
  }

  function planTally({ key, fields, bucket, buckets }: SeriesMeasure, at: number, tallies: Map<string, Tally>): Plan {
    const tally = tallies.get(key) ?? { adds: new Map(), oldest: 0, ttl: bucket * buckets, reply: -1 }
    tallies.set(key, tally)
    const start = at - (at % bucket)
    tally.oldest = Math.max(tally.oldest, start - bucket * buckets)
    for (const field of fields) {
      const name = `${start}:${field}`
      tally.adds.set(name, (tally.adds.get(name) ?? 0) + 1)
    }
    return (replies) => ({ ...NOTHING, series: seriesOf(replies[tally.reply]) })
  }

  async function send(all: readonly Asked[]): Promise<Reading[] | undefined> {
    const commands: BatchCommand[] = []
    const tallies = new Map<string, Tally>()
    const plans = all.map((asked) => plan(asked, commands, tallies))
    for (const [key, tally] of tallies) {
      for (const [field, count] of tally.adds) commands.push(['hincrby', keyOf(key), field, count])
      tally.reply = commands.length
      commands.push(['hgetall', keyOf(key)], ['pexpire', keyOf(key), tally.ttl])
    }
    const replies = await redis.attempt(
      'security.count',
      (client) => batch(client, commands).then(rejectOutage),
      () => undefined,
    )
    if (replies === undefined) return undefined
    void forget(tallies, replies)
    return plans.map((read) => read(replies))
  }

  /** Buckets that are too old leave the series, seldom enough to cost nothing. */
  async function forget(tallies: ReadonlyMap<string, Tally>, replies: readonly BatchReply[]): Promise<void> {
    for (const [key, { oldest, reply }] of tallies) {
      const fields = Object.keys((replies[reply]?.[1] ?? {}) as object)
      const old = fields.filter((field) => Number.parseInt(field, 10) <= oldest)
      if (old.length === 0) continue
      await redis.attempt(
        'security.count',
        (client) => client.hdel(keyOf(key), ...old),
        () => 0,
      )
    }
  }

  /** In the order in which it was counted, and in pieces: requests wait on the same connection. */
  async function merge(): Promise<boolean> {
    while (missed.length > 0) {
      const piece = missed.slice(0, PIECE)
      if ((await send(piece)) === undefined) return false
      missed = missed.slice(piece.length)
    }
    return true
  }

  return {
    async apply(asked) {
      if (redis.available && (await merge())) {
        const readings = await send(asked)
        if (readings !== undefined) return readings
      }
      missed.push(...asked.filter(({ measure }) => measure.op === 'add' || measure.op === 'clear'))
      // Seldom, so that a flood during an outage does not spend its time on moving this list.
      if (missed.length > 2 * MAX_MISSED) missed = missed.slice(-MAX_MISSED)
      return local.applyNow(asked)
    },
  }
}

/** The key of a counter in Redis. */
export function counterKey(redis: RedisManager, digest: Digest, key: string): string {
  return redis.keys.key('security', 'count', digest('count', key))
}

type Plan = (replies: readonly BatchReply[]) => Reading

interface Tally {
  readonly adds: Map<string, number>
  oldest: number
  readonly ttl: number
  reply: number
}

function rejectOutage(replies: BatchReply[]): BatchReply[] {
  // A connection that breaks inside a batch fails its commands, not the batch.
  const lost = replies.find(([error]) => error !== null && error.name !== 'ReplyError')
  if (lost?.[0]) throw lost[0]
  return replies
}

function reading({ entries = false }: SetMeasure, added: boolean, reply: BatchReply | undefined): Reading {
  const value = reply?.[1]
  if (!entries) return { ...NOTHING, count: typeof value === 'number' ? value : 0, added }
  const flat = Array.isArray(value) ? (value as unknown[]) : []
  const list: [string, number][] = []
  for (let index = 0; index + 1 < flat.length; index += 2) list.push([String(flat[index]), Number(flat[index + 1])])
  return { ...NOTHING, count: list.length, added, entries: list }
}

function seriesOf(reply: BatchReply | undefined): Reading['series'] {
  const series = new Map<number, Record<string, number>>()
  for (const [name, count] of pairsOf(reply?.[1])) {
    const match = /^(\d{1,15}):(\w{1,20})$/.exec(name)
    if (match === null) continue
    const start = Number(match[1])
    const totals = series.get(start) ?? Object.create(null)
    totals[match[2] as string] = Number(count)
    series.set(start, totals)
  }
  return series
}

/** A pipeline gives the reply of HGETALL as an object or as a flat list, by version and protocol. */
function pairsOf(reply: unknown): (readonly [string, unknown])[] {
  if (Array.isArray(reply)) {
    return reply.flatMap((name, index) => (index % 2 === 0 ? [[String(name), reply[index + 1]] as const] : []))
  }
  return typeof reply === 'object' && reply !== null ? Object.entries(reply) : []
}
