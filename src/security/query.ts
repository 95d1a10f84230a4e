import type { RedisManager } from '../redis/index.js'
import { ConfigurationError } from '../shared/errors.js'
import { type LogKeys, ON_TIME, STREAMS, type StreamName } from './append.js'
import { type SecurityEvent, userName } from './event.js'
import type { SecurityEventType, SecurityLevel } from './vocabulary.js'

export interface SecurityQuery {
  readonly userId?: string | number | undefined
  readonly type?: SecurityEventType | readonly SecurityEventType[] | undefined
  readonly level?: SecurityLevel | readonly SecurityLevel[] | undefined
  /** Happened at or after; a Date or milliseconds. */
  readonly from?: Date | number | undefined
  /** Happened before; a Date or milliseconds. */
  readonly to?: Date | number | undefined
  /** @default both streams */
  readonly stream?: StreamName | undefined
  /** Most events of a page, 1 to 1000. @default 100 */
  readonly limit?: number | undefined
  /** Where the page before ended. */
  readonly cursor?: string | undefined
}

export interface SecurityPage {
  /** The latest written first. */
  readonly events: readonly SecurityEvent[]
  /** Given where there may be more; a page that searched much and found little can be short, even empty. */
  readonly cursor?: string
}

/** One entry of a stream, as Redis holds it. */
export interface StreamEntry {
  readonly id: string
  readonly fields: Readonly<Record<string, string>>
}

/** Entries looked at for one page at most, so that a rare event cannot keep Redis busy. */
const MAX_SCANNED = 10_000
const CHUNK = 500
/** Clocks of the processes and of Redis may differ by this much. */
const SKEW = 60_000
const DEADLINE = 1000

interface Position {
  readonly ms: number
  readonly seq: number
  readonly source: number
}

export interface ReaderOptions {
  readonly redis: RedisManager
  readonly keys: LogKeys
  readonly shards: number
}

/** Reads the log. Fails closed: an audit that silently lacks a part is worse than none. */
export interface Reader {
  page(query: SecurityQuery): Promise<SecurityPage>
  user(user: string, since: number, limit: number): Promise<SecurityEvent[]>
}

export function createReader({ redis, keys, shards }: ReaderOptions): Reader {
  const sources = STREAMS.flatMap((name) =>
    Array.from({ length: shards }, (_, shard) => ({ name, key: keys.stream(name, shard) })),
  )

  async function before(key: string, end: string, start: string): Promise<StreamEntry[]> {
    const reply = await redis.execute('security.query', (client) => client.xrevrange(key, end, start, 'COUNT', CHUNK), {
      deadline: DEADLINE,
    })
    return reply.map(([id, fields]) => ({ id, fields: fieldsOf(fields) }))
  }

  /** The id after which nothing that happened before `to` can have been written. */
  async function endFor(to: number | undefined): Promise<string> {
    if (to === undefined) return '+'
    const replies = await redis.execute('security.query', (client) =>
      Promise.all(Array.from({ length: shards }, (_, shard) => client.get(keys.lateness(shard)))),
    )
    return String(Math.ceil(to + Math.max(ON_TIME, ...replies.map(Number)) + SKEW))
  }

  return {
    async page(query) {
      const { stream, limit = 100 } = query
      if (!Number.isInteger(limit) || limit < 1 || limit > 1000) {
        throw new ConfigurationError('security.query', 'limit', 'must be an integer from 1 to 1000')
      }
      const from = timeOf('from', query.from)
      const to = timeOf('to', query.to)
      const matches = matcher(query, from, to)
      const start = from === undefined ? '-' : String(Math.max(0, Math.floor(from - SKEW)))
      const last = positionOf(query.cursor)
      const end = last === undefined ? await endFor(to) : ''
      const cursors = sources.map(({ name, key }, source) => ({
        source,
        key,
        end: last === undefined ? end : endAfter(last, source),
        buffer: [] as StreamEntry[],
        done: stream !== undefined && stream !== name,
      }))
      const events: SecurityEvent[] = []
      const seen = new Set<string>()
      let scanned = 0
      for (;;) {
        await Promise.all(
          cursors.map(async (cursor) => {
            if (cursor.done || cursor.buffer.length > 0) return
            const chunk = await before(cursor.key, cursor.end, start)
            cursor.buffer = chunk.reverse()
            const oldest = chunk[0]
            if (oldest === undefined) cursor.done = true
            else cursor.end = `(${oldest.id}`
          }),
        )
        let next: { position: Position; cursor: (typeof cursors)[number] } | undefined
        for (const cursor of cursors) {
          const entry = cursor.buffer.at(-1)
          if (entry === undefined) continue
          const position = parseId(entry.id, cursor.source)
          if (next === undefined || compare(position, next.position) > 0) next = { position, cursor }
        }
        if (next === undefined) return { events }
        const entry = next.cursor.buffer.pop() as StreamEntry
        scanned++
        const event = decode(redis, entry)
        if (event !== undefined && matches(event) && !seen.has(event.id)) {
          seen.add(event.id)
          events.push(event)
        }
        if (events.length >= limit || scanned >= MAX_SCANNED) {
          const { ms, seq, source } = next.position
          return { events, cursor: `${ms}-${seq}.${source}` }
        }
      }
    },
    async user(user, since, limit) {
      const reply = await redis.execute(
        'security.activity',
        (client) => client.xrevrange(keys.user(user), '+', '-', 'COUNT', Math.min(limit * 2, 2000)),
        { deadline: DEADLINE },
      )
      const events = new Map<string, SecurityEvent>()
      for (const [id, fields] of reply) {
        const event = decode(redis, { id, fields: fieldsOf(fields) })
        // A batch that was sent twice is there twice.
        if (event !== undefined && Date.parse(event.ts) >= since) events.set(event.id, event)
      }
      return [...events.values()].slice(0, limit)
    },
  }
}

/** The event of an entry; what somebody else wrote there is reported and skipped. */
export function decode(redis: RedisManager, { fields }: StreamEntry): SecurityEvent | undefined {
  try {
    const event = JSON.parse(fields.e ?? '') as SecurityEvent | null
    if (
      event?.v === 1 &&
      typeof event.id === 'string' &&
      typeof event.event === 'string' &&
      Date.parse(event.ts) >= 0
    ) {
      return event
    }
  } catch {
    // Not JSON: reported below like everything else that is not ours.
  }
  redis.emit('data.corrupt', { feature: 'security', problem: 'an entry of the log is not an event' })
  return undefined
}

export function fieldsOf(flat: readonly string[]): Record<string, string> {
  const fields: Record<string, string> = Object.create(null)
  for (let index = 0; index + 1 < flat.length; index += 2) fields[flat[index] as string] = flat[index + 1] as string
  return fields
}

function matcher(query: SecurityQuery, from: number | undefined, to: number | undefined) {
  const types = setOf<string>(query.type)
  const levels = setOf<string>(query.level)
  const user = query.userId === undefined ? undefined : userName(query.userId)
  return ({ event, level, userId, ts }: SecurityEvent): boolean => {
    if (types !== undefined && !types.has(event)) return false
    if (levels !== undefined && !levels.has(level)) return false
    if (user !== undefined && userId !== user) return false
    if (from === undefined && to === undefined) return true
    const at = Date.parse(ts)
    return (from === undefined || at >= from) && (to === undefined || at < to)
  }
}

function setOf<T>(value: T | readonly T[] | undefined): ReadonlySet<T> | undefined {
  return value === undefined ? undefined : new Set(Array.isArray(value) ? (value as readonly T[]) : [value as T])
}

function timeOf(name: string, value: Date | number | undefined): number | undefined {
  if (value === undefined) return undefined
  const ms = value instanceof Date ? value.getTime() : value
  if (typeof ms === 'number' && Number.isFinite(ms)) return ms
  throw new ConfigurationError('security.query', name, 'must be a valid Date or milliseconds')
}

function positionOf(cursor: string | undefined): Position | undefined {
  if (cursor === undefined) return undefined
  const match = /^(\d{1,15})-(\d{1,15})\.(\d{1,3})$/.exec(cursor)
  if (match === null) throw new ConfigurationError('security.query', 'cursor', 'must be a cursor of an earlier page')
  return { ms: Number(match[1]), seq: Number(match[2]), source: Number(match[3]) }
}

function parseId(id: string, source: number): Position {
  const [ms, seq] = id.split('-')
  return { ms: Number(ms), seq: Number(seq), source }
}

function compare(a: Position, b: Position): number {
  return a.ms - b.ms || a.seq - b.seq || a.source - b.source
}

/** Of equal ids in two streams, the one of the higher source came first. */
function endAfter({ ms, seq, source }: Position, other: number): string {
  return other < source ? `${ms}-${seq}` : `(${ms}-${seq}`
}
