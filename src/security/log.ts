import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { type Duration, toMs } from '../shared/duration.js'
import { checkOptions, requireOptions } from '../shared/options.js'
import { createAppender, logKeys, type StoreOptions } from './append.js'
import type { Subject } from './detectors/detector.js'
import { createDigest, type Digest } from './digest.js'
import { type KnownDigests, makeEvent, type SecurityEvent, type SecurityEventDetails, userName } from './event.js'
import { safely } from './facts.js'
import { createGuard, type Guard, type SignalExtras } from './guard.js'
import { logRules, type SecurityLogOptions } from './options.js'
import { createReader, type SecurityPage, type SecurityQuery } from './query.js'
import { createNameTest } from './redact.js'
import type { Restriction } from './restrictions.js'
import { sinkOf } from './sink.js'
import { listen } from './sources.js'
import { createUlid } from './ulid.js'
import {
  type EventAlias,
  meaningOf,
  type OwaspEventType,
  type OwnEventType,
  type SecurityLevel,
  UNREGISTERED,
} from './vocabulary.js'
import { createWriter, type Gap } from './writer.js'

export interface SecurityLogStats {
  /** Written to Redis by this process. */
  readonly written: number
  /** Waiting to be written. */
  readonly buffered: number
  readonly bufferedBytes: number
}

/** The security log without HTTP. */
export interface SecurityLog<Own extends OwnEventType = never> {
  /**
   * Records an event and returns its id at once: no promise, no round trip, never an error. It is in the local sink
   * when this returns and in Redis with the next batch, or once Redis is back.
   */
  record(type: OwaspEventType | EventAlias | Own, details?: SecurityEventDetails): string
  /** `record` for an event of a user. */
  logSecurityEvent(
    userId: string | number,
    type: OwaspEventType | EventAlias | Own,
    details?: SecurityEventDetails,
  ): string
  /** One page of what is in Redis, the latest first. Fails closed with RedisUnavailableError. */
  query(query?: SecurityQuery): Promise<SecurityPage>
  /** Everything that matches, the latest first, in bounded memory. Fails closed with RedisUnavailableError. */
  events(query?: Omit<SecurityQuery, 'limit' | 'cursor'>): AsyncGenerator<SecurityEvent, void, undefined>
  /** The latest events of a user, the newest first. Fails closed with RedisUnavailableError. */
  activity(userId: string | number, options?: { readonly limit?: number }): Promise<readonly SecurityEvent[]>
  /** What is refused or slowed down now, by subject. */
  restrictions(): ReadonlyMap<string, Restriction>
  /** Ends a restriction in every process: the way back for whoever was refused by mistake. */
  lift(subject: Subject): Promise<boolean>
  /** True once everything recorded so far, and what detectors made of it, is in Redis; false where it is not within the time. @default '2s' */
  flush(within?: Duration): Promise<boolean>
  stats(): SecurityLogStats
  /** Writes what waits, for at most 2 s, and stops. Call it before `redis.close()`. Idempotent. */
  close(): Promise<void>
}

/** What was known about an event before it was made. */
export interface Known extends KnownDigests, SignalExtras {
  /** Not for the detectors: it is what one of them found. */
  readonly quiet?: boolean | undefined
}

export type Append = (type: unknown, details?: SecurityEventDetails, known?: Known) => SecurityEvent | undefined

/** The log with what the middleware needs beside it. */
export interface LogParts<Own extends OwnEventType> {
  readonly log: SecurityLog<Own>
  readonly append: Append
  readonly guard: Guard
  readonly digest: Digest
  readonly now: () => number
}

const CLOSE_MS = 2000

/**
 * A security log for use outside Express; {@link securityLog} is the same as a middleware.
 *
 * @example
 * ```ts
 * import { createRedisManager, createSecurityLog } from 'holdfast'
 *
 * const redis = createRedisManager()
 * const security = createSecurityLog({ redis, app: 'billing', events: { 'billing.refund': 'info' } })
 * security.record('billing.refund', { userId: 'u-17', amount: 1200 })
 * await security.close()
 * ```
 */
export function createSecurityLog<Own extends OwnEventType = never>(
  options: SecurityLogOptions<Own>,
): SecurityLog<Own> {
  checkOptions('createSecurityLog', options, logRules)
  return createParts('createSecurityLog', options).log
}

/** The options are checked by the caller, who may have more of them. */
export function createParts<Own extends OwnEventType>(owner: string, options: SecurityLogOptions<Own>): LogParts<Own> {
  requireOptions<SecurityLogOptions<OwnEventType>>(owner, options, logRules, 'redis')
  const {
    redis,
    app,
    events: ownEvents,
    secret = redis.keys.key('security', 'digest'),
    sink = 'console',
    redact = [],
    maxBuffered = 10_000,
    maxBufferedBytes = 8 * 1024 * 1024,
    flushInterval = 50,
    shards = 1,
    now = Date.now,
  } = options
  const store = storeOf(options)
  const own = new Map<string, SecurityLevel>(Object.entries(ownEvents ?? {}))
  const digest = createDigest(secret)
  const context = { app, host: hostname(), digest, isSecretName: createNameTest(redact) }
  const write = sinkOf(sink)
  const ulid = createUlid(now)
  const producer = randomBytes(9).toString('base64url')
  const keys = logKeys(redis)
  const appender = createAppender({
    redis,
    keys,
    store,
    producer,
    shard: randomBytes(1).readUInt8() % shards,
    sign: () => '',
    now,
  })
  const writer = createWriter({
    redis,
    appender,
    bounds: { maxEvents: maxBuffered, maxBytes: maxBufferedBytes },
    flushInterval: toMs(flushInterval),
    now,
    onGap,
  })
  const reader = createReader({ redis, keys, shards })
  let closing: Promise<void> | undefined

  function append(type: unknown, details?: SecurityEventDetails, known: Known = {}): SecurityEvent | undefined {
    try {
      const made = makeEvent(ulid(), now(), meaningOf(type, own), nameUnknown(type, details), context, known)
      const { event, json, at, audit } = made
      toSink(event, json)
      const user = event.userId === undefined ? undefined : digest('user', event.userId)
      writer.push({ id: event.id, level: event.level, at, json, audit, user })
      if (redis.listens('security.event')) redis.emit('security.event', event)
      if (known.quiet !== true)
        guard.seen(event, at, { device: known.device, credential: secretOf(event, details, known) })
      return event
    } catch (error) {
      // A log that throws into a request turns evidence into an outage.
      redis.warn('HOLDFAST_SECURITY_RECORD', `an event could not be recorded: ${String((error as Error)?.name)}`)
      return undefined
    }
  }

  /** Equal only for the same secret of the same account, and never stored. */
  function secretOf(event: SecurityEvent, details: SecurityEventDetails | undefined, known: Known): string | undefined {
    if (known.credential !== undefined) return known.credential
    const given = safely(() => details?.credential)
    return typeof given === 'string' ? digest('credential', `${event.account ?? event.userId}\0${given}`) : undefined
  }

  function nameUnknown(type: unknown, details: SecurityEventDetails | undefined): unknown {
    return meaningOf(type, own).type === UNREGISTERED ? { ...details, name: String(type) } : details
  }

  function toSink(event: SecurityEvent, json: string): void {
    try {
      write(event, json)
    } catch (error) {
      redis.warn('HOLDFAST_SECURITY_SINK', `the sink of the security log threw: ${String((error as Error)?.name)}`)
    }
  }

  function onGap({ downMs, buffered, dropped }: Gap): void {
    append('sys_monitor_enabled', { reason: 'gap', downMs, buffered, dropped: { ...dropped } })
    if (dropped.info + dropped.warn + dropped.critical > 0)
      redis.emit('security.dropped', { downMs, buffered, dropped })
  }

  const guard = createGuard(options, { owner, redis, now, id: ulid, digest, record: append })
  const stopListening = listen(redis, append)

  const log: SecurityLog<Own> = {
    record: (type, details) => append(type, details)?.id ?? '',
    logSecurityEvent: (userId, type, details) => append(type, { ...details, userId })?.id ?? '',
    query: (query = {}) => reader.page(query),
    async *events(query = {}) {
      let cursor: string | undefined
      do {
        const page = await reader.page({ ...query, limit: 500, cursor })
        yield* page.events
        cursor = page.cursor
      } while (cursor !== undefined)
    },
    activity: (userId, { limit = 50 } = {}) => {
      return reader.user(digest('user', userName(userId)), now() - store.userRetention, limit)
    },
    restrictions: () => guard.restrictions(),
    lift: (subject) => guard.lift(subject),
    async flush(within = CLOSE_MS) {
      const deadline = performance.now() + toMs(within)
      await Promise.race([guard.idle(), pause(toMs(within))])
      return writer.flush(Math.max(deadline - performance.now(), 0))
    },
    stats: () => ({ written: writer.written, buffered: writer.ring.size, bufferedBytes: writer.ring.bytes }),
    close() {
      closing ??= close()
      return closing
    },
  }
  return { log, append, guard, digest, now }

  async function close(): Promise<void> {
    stopListening()
    await Promise.race([guard.idle(), pause(CLOSE_MS / 2)])
    guard.close()
    await writer.close(CLOSE_MS)
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref()
  })
}

function storeOf(options: SecurityLogOptions<OwnEventType>): StoreOptions {
  const { shards = 1, maxEvents = 100_000, maxAuditEvents = 100_000, maxUserEvents = 200 } = options
  const { retention = '90d', auditRetention = '365d', userRetention = '90d' } = options
  return {
    shards,
    maxEvents,
    maxAuditEvents,
    maxUserEvents,
    retention: toMs(retention),
    auditRetention: toMs(auditRetention),
    userRetention: toMs(userRetention),
  }
}
