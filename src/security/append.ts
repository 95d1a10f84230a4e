import { type BatchCommand, batch, defineScript, type RedisClient, type RedisManager } from '../redis/index.js'
import type { Sealer, Signer } from './integrity.js'
import type { Entry } from './ring.js'

/** Every event goes to one of these; they differ in how long they are kept. */
export const STREAMS = ['security', 'audit'] as const
export type StreamName = (typeof STREAMS)[number]

/**
 * Appends events once and in order, however often it is sent: what the producer's position has passed is skipped.
 * KEYS: security stream, audit stream, the producer's position, the shard's lateness.
 * ARGV: TTL of the position in ms, cap of each stream (2), TTL of the lateness in ms, producer, sequence number of the
 * first event, then per event six: 1 for security or 2 for audit, id, event time in ms, sequence number in its stream,
 * signature or '', JSON. Replies with the number appended.
 */
const append = defineScript<number>({
  name: 'security-append',
  lua: `
local last = tonumber(redis.call('GET', KEYS[3]) or '-1')
local producer, seq, added, done, oldest = ARGV[5], tonumber(ARGV[6]), 0, nil, nil
local function finish(reply)
  if not done then return reply end
  redis.call('SET', KEYS[3], string.format('%.0f', done), 'PX', ARGV[1])
  local time = redis.call('TIME')
  local late = time[1] * 1000 + math.floor(time[2] / 1000) - oldest
  if late > 60000 and late > tonumber(redis.call('GET', KEYS[4]) or '0') then
    redis.call('SET', KEYS[4], string.format('%.0f', late), 'PX', ARGV[4])
  end
  return reply
end
for i = 7, #ARGV, 6 do
  if seq > last then
    local stream = tonumber(ARGV[i])
    local reply = redis.pcall('XADD', KEYS[stream], 'MAXLEN', '~', ARGV[1 + stream], '*',
      'id', ARGV[i + 1], 'ts', ARGV[i + 2], 'p', producer, 's', ARGV[i + 3], 'm', ARGV[i + 4], 'e', ARGV[i + 5])
    if type(reply) == 'table' and reply.err then return finish(reply) end
    local at = tonumber(ARGV[i + 2])
    if not oldest or at < oldest then oldest = at end
    added, done = added + 1, seq
  end
  seq = seq + 1
end
return finish(added)`,
})

export interface StoreOptions {
  readonly shards: number
  readonly maxEvents: number
  readonly maxAuditEvents: number
  readonly maxUserEvents: number
  readonly retention: number
  readonly auditRetention: number
  readonly userRetention: number
}

/** The part of a producer's position that outlives the longest outage worth deduplicating. */
const POSITION_TTL = 2 * 86_400_000

/** Builds every key of the log, so that a reader and a writer cannot disagree. */
export interface LogKeys {
  stream(name: StreamName, shard: number): string
  position(shard: number, producer: string): string
  /** `user` is the digest of a user id. */
  user(user: string): string
  /** How long after its time an event was ever written: a query for a time must look that much further. */
  lateness(shard: number): string
  /** Notes about events that were erased. */
  erased(shard: number): string
}

export function logKeys(redis: RedisManager): LogKeys {
  const { keys } = redis
  const slot = (shard: number) => keys.slot(`security-${shard}`)
  return {
    stream: (name, shard) => keys.key('security', 'log', slot(shard), name),
    position: (shard, producer) => keys.key('security', 'log', slot(shard), 'position', producer),
    user: (user) => keys.key('security', 'user', keys.slot(user)),
    lateness: (shard) => keys.key('security', 'log', slot(shard), 'lateness'),
    erased: (shard) => keys.key('security', 'log', slot(shard), 'erased'),
  }
}

export interface Appender {
  /** Rejects where it is unknown whether, or certain that not, all events are in their stream. Repeatable. */
  append(client: RedisClient, entries: readonly Entry[], firstSequence: number): Promise<void>
  /** The entries are in Redis: the next ones come after them. */
  commit(entries: readonly Entry[]): void
}

export interface AppenderOptions {
  readonly redis: RedisManager
  readonly keys: LogKeys
  readonly store: StoreOptions
  readonly producer: string
  readonly shard: number
  readonly signer: Signer
  readonly sealers: Readonly<Record<StreamName, Sealer>>
  readonly now: () => number
}

export function createAppender({
  redis,
  keys,
  store,
  producer,
  shard,
  signer,
  sealers,
  now,
}: AppenderOptions): Appender {
  const streams = STREAMS.map((name) => keys.stream(name, shard))
  const targets = [...streams, keys.position(shard, producer), keys.lateness(shard)]

  const next = { security: 0, audit: 0 }

  /** Place and signature of each entry; the same for the same entries, however often they are sent. */
  function placed(entries: readonly Entry[]): { stream: StreamName; sequence: number; signature: string }[] {
    const sequences = { ...next }
    return entries.map(({ audit, json }) => {
      const stream = audit ? 'audit' : 'security'
      const sequence = sequences[stream]++
      return { stream, sequence, signature: signer.sign({ producer, stream, sequence }, json) }
    })
  }

  const trims = new Recently(now, Math.min(TRIM_EVERY, store.userRetention / 4))

  function userCommands(entries: readonly Entry[]): BatchCommand[] {
    const commands: BatchCommand[] = []
    const users = new Set<string>()
    for (const { user, id, at, json } of entries) {
      if (user === undefined) continue
      const key = keys.user(user)
      commands.push(['xadd', key, 'MAXLEN', '~', store.maxUserEvents, '*', 'id', id, 'ts', at, 'e', json])
      users.add(key)
    }
    const oldest = Math.max(0, now() - store.userRetention)
    for (const key of users) {
      commands.push(['pexpire', key, store.userRetention])
      if (trims.due(key)) commands.push(['xtrim', key, 'MINID', oldest])
    }
    return commands
  }

  return {
    async append(client, entries, firstSequence) {
      const args: (string | number)[] = [
        POSITION_TTL,
        store.maxEvents,
        store.maxAuditEvents,
        Math.max(store.retention, store.auditRetention),
        producer,
        firstSequence,
      ]
      const places = placed(entries)
      for (const [index, { audit, id, at, json }] of entries.entries()) {
        const { sequence = 0, signature = '' } = places[index] ?? {}
        args.push(audit ? 2 : 1, id, at, sequence, signature, json)
      }
      const [, replies] = await Promise.all([append.run(client, targets, args), batch(client, userCommands(entries))])
      for (const [error] of replies) {
        if (error === null) continue
        // The stream has the event; a key of one user that Redis refuses must not hold up everybody's log.
        if (error.name !== 'ReplyError') throw error
        redis.warn('HOLDFAST_SECURITY_USER_STREAM', 'Redis refused to write the security events of a user')
      }
    },
    commit(entries) {
      for (const { user } of entries) if (user !== undefined) trims.done(keys.user(user))
      for (const { stream, signature } of placed(entries)) {
        next[stream]++
        if (signature !== '') sealers[stream].add(signature)
      }
    },
  }
}

/** Written within this time, an event is not late; the script knows the same number. */
export const ON_TIME = 60_000

const TRIM_EVERY = 10 * 60_000
const USERS_KEPT = 10_000

/** Which streams of users were trimmed by age not long ago. */
class Recently {
  readonly #at = new Map<string, number>()
  readonly #now: () => number
  readonly #every: number

  constructor(now: () => number, every: number) {
    this.#now = now
    this.#every = every
  }

  due(key: string): boolean {
    const last = this.#at.get(key)
    return last === undefined || Math.abs(this.#now() - last) >= this.#every
  }

  done(key: string): void {
    if (!this.due(key)) return
    if (this.#at.size >= USERS_KEPT) this.#at.clear()
    this.#at.set(key, this.#now())
  }
}
