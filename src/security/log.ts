import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { toMs } from '../shared/duration.js'
import { checkOptions, requireOptions } from '../shared/options.js'
import { createAppender, logKeys, STREAMS, type StoreOptions } from './append.js'
import { consume } from './consume.js'
import { createDigest, type Digest } from './digest.js'
import { createEraser } from './erase.js'
import { type KnownDigests, makeEvent, type SecurityEvent, type SecurityEventDetails, userName } from './event.js'
import { formatEvents } from './export.js'
import { safely } from './facts.js'
import { createGuard, type Guard, type SignalExtras } from './guard.js'
import { createSigner, Sealer } from './integrity.js'
import { logRules, type SecurityLogOptions } from './options.js'
import { createReader } from './query.js'
import { createNameTest } from './redact.js'
import type { SecurityLog } from './security-log.js'
import { sinkOf } from './sink.js'
import { listen } from './sources.js'
import { createSpill } from './spill.js'
import { createUlid } from './ulid.js'
import { createUpkeep } from './upkeep.js'
import { createVerifier } from './verify.js'
import { meaningOf, type OwnEventType, type SecurityLevel, UNREGISTERED } from './vocabulary.js'
import { createWriter, type Gap } from './writer.js'

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
    integrity,
    spillPath,
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
  const signer = createSigner(integrity?.keys ?? [])
  const sealers = {
    security: new Sealer(signer, { producer, stream: 'security' }),
    audit: new Sealer(signer, { producer, stream: 'audit' }),
  }
  const appender = createAppender({
    redis,
    keys,
    store,
    producer,
    shard: randomBytes(1).readUInt8() % shards,
    signer,
    sealers,
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
  const verify = createVerifier({ redis, keys, shards, signer })
  const notesKept = Math.max(store.retention, store.auditRetention)
  const eraseUser = createEraser({ redis, keys, shards, signer, digest, retention: notesKept })
  const upkeep = createUpkeep({ redis, keys, store, now })
  const spill = spillPath === undefined ? undefined : createSpill(spillPath, producer)
  const loading = load().catch(() => spillFailed('read'))
  const sealing = integrity?.onSeal === undefined ? undefined : setInterval(seal, toMs(integrity.sealEvery ?? '60s'))
  sealing?.unref()
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
  /** What an earlier process could not write any more. */
  async function load(): Promise<void> {
    const entries = (await spill?.load()) ?? []
    for (const entry of entries) writer.push(entry)
    if (entries.length > 0 && (await writer.flush(CLOSE_MS))) await spill?.done()
  }

  function spillFailed(verb: string): void {
    redis.warn('HOLDFAST_SECURITY_SPILL', `the spill file of the security log could not be ${verb}`)
  }

  function seal(): void {
    for (const stream of STREAMS) {
      const made = sealers[stream].seal(new Date(now()))
      if (made === undefined) continue
      Promise.resolve()
        .then(() => integrity?.onSeal?.(made))
        .catch((error: unknown) => {
          redis.warn('HOLDFAST_SECURITY_ON_SEAL', `onSeal failed: ${String((error as Error)?.name)}`)
        })
    }
  }

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
    export: ({ format = 'ndjson', ...query } = {}) => formatEvents(log.events(query), format),
    consume: (group, handler, how) => consume({ redis, keys, shards }, group, handler, how),
    verify: (range) => verify(range),
    trim: () => upkeep.trim(),
    async erase(userId) {
      const name = userName(userId)
      const user = digest('user', name)
      const waiting = writer.ring.remove((entry) => entry.user === user)
      // What is on its way to Redis must arrive before it can be removed there.
      await writer.flush(CLOSE_MS)
      const erased = waiting + (await eraseUser(name, user))
      append('holdfast.erased', { reason: 'erase', user, erased, level: 'warn' })
      return erased
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
  const unregister = redis.register({
    feature: 'security',
    name: options.app,
    status: () => ({ status: 'pass', values: { ...log.stats() } }),
  })
  return { log, append, guard, digest, now }

  async function close(): Promise<void> {
    stopListening()
    unregister()
    await Promise.race([guard.idle(), pause(CLOSE_MS / 2)])
    guard.close()
    upkeep.close()
    clearInterval(sealing)
    await Promise.race([loading, pause(CLOSE_MS)])
    const written = await writer.close(CLOSE_MS)
    if (integrity?.onSeal !== undefined) seal()
    if (!written) await spill?.save(writer.ring).catch(() => spillFailed('written'))
    await spill?.done()
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
