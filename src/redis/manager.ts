import { type Duration, toMs } from '../shared/duration.js'
import { createEmitter, type Unsubscribe } from '../shared/emitter.js'
import { isError } from '../shared/errors.js'
import type { EventCatalogue } from '../shared/events.js'
import { risksOf } from './borrow.js'
import { allMasters, isCluster, masters, type RedisClient } from './client.js'
import { connect, connectOnce } from './connection.js'
import { describe, placeOf, replyKind } from './describe.js'
import { disconnect } from './disconnect.js'
import { asRedisError, classify, RedisUnavailableError, type UnavailableReason } from './errors.js'
import type { RedisState } from './events.js'
import { Gate } from './gate.js'
import { healthOf, type RedisHealth } from './health.js'
import { createKeyspace, type Keyspace } from './keys.js'
import { Link } from './link.js'
import { type NamespaceOptions, type NamespaceStats, namespacesOf } from './namespaces.js'
import type { RedisManagerOptions } from './options.js'
import { createOwned, type OwnedConnection } from './owned.js'
import { createPool, type Pool } from './pool.js'
import { resolveSettings } from './settings.js'
import { shardsOf } from './shards.js'
import { type RedisStats, statsOf } from './stats.js'
import { createStatusRegistry, type StatusSource } from './status.js'
import { createSubscriber, type Subscriber } from './subscriber.js'
import { probeKeyFor } from './tracked-node.js'
import { createTracking, type Tracking } from './tracking.js'

/** Sends commands with the client; everything it awaits counts against the deadline. */
export type RedisCommand<T> = (client: RedisClient) => Promise<T>

/** Why the fallback is asked. `error`: Redis answered with an error (logged once per operation). */
export type FallbackReason = UnavailableReason | 'error'

export interface CallOptions {
  /** Instead of the manager's `commandTimeout`; for administration, not for the request path. */
  readonly deadline?: Duration
}

/** The one owner of all connections, and the only place that knows Redis can fail. */
export interface RedisManager {
  readonly state: RedisState
  /** True while commands are sent; false means that fallbacks answer at once. */
  readonly available: boolean
  readonly keys: Keyspace
  readonly subscriber: Subscriber
  readonly pool: Pool
  /** Announcements of changed keys, for copies kept in this process. */
  readonly tracking: Tracking
  /** Fails open: what `command` resolves to, else, in time, what `fallback` returns. Never rejects because of Redis. */
  attempt<T>(
    operation: string,
    command: RedisCommand<T>,
    fallback: (reason: FallbackReason) => T | Promise<T>,
    options?: CallOptions,
  ): Promise<T>
  /** Fails closed: rejects, in time, with {@link RedisUnavailableError} or {@link RedisCommandError}. */
  execute<T>(operation: string, command: RedisCommand<T>, options?: CallOptions): Promise<T>
  on<Type extends keyof EventCatalogue>(type: Type, listener: (event: EventCatalogue[Type]) => void): Unsubscribe
  /** For features: an event of the catalogue. */
  emit<Type extends keyof EventCatalogue>(type: Type, event: EventCatalogue[Type]): void
  /**
   * For features that hand a connection to a library: one that fails at once while Redis is away (`command`), or that
   * waits for it (`worker`). Not behind the deadline and the breaker. Closed with the manager, which calls `closing`
   * first; `undefined` where no Redis is configured.
   */
  open(role: 'command' | 'worker', closing?: () => unknown): OwnedConnection | undefined
  /** For features: whether building an event is worth it. */
  listens(type: keyof EventCatalogue): boolean
  /** For features: says something to the operator once per code. */
  warn(code: string, message: string): void
  /** For features: health reports and metrics ask this source from now on. */
  register(source: StatusSource): Unsubscribe
  /** Every source registered now, in the order of registration. */
  sources(): readonly StatusSource[]
  health(): Promise<RedisHealth>
  /** INFO of every master as numbers, their sums, and the slow log. Rejects with {@link RedisUnavailableError}. */
  stats(): Promise<RedisStats>
  /** Keys and memory of each feature, estimated from a sample. Rejects as {@link stats} does. */
  namespaces(options?: NamespaceOptions): Promise<NamespaceStats[]>
  /** True as soon as Redis is usable, false where it is not within the time. Never rejects. @default '2s' */
  ready(within?: Duration): Promise<boolean>
  /** Drains and closes every connection within a second, whatever their state. Idempotent. */
  close(): Promise<void>
}

/** For the answers to what is in flight. */
const DRAIN_MS = 500

/** Where timers overflow. */
const MAX_DELAY = 2 ** 31 - 1

/**
 * Opens the shared connection. Returns at once and never throws because Redis is absent: it is picked up when it
 * appears. Throws a `ConfigurationError` for options or variables out of their range.
 *
 * @example
 * ```ts
 * import { createRedisManager } from 'holdfast'
 *
 * const redis = createRedisManager({ url: 'redis://127.0.0.1:6379', keyPrefix: 'shop' })
 * const visits = await redis.attempt('visits', (client) => client.incr(redis.keys.key('visits')), () => 0)
 * await redis.close()
 * ```
 */
export function createRedisManager(options: RedisManagerOptions = {}): RedisManager {
  const settings = resolveSettings(options)
  const { target, logger, commandTimeout } = settings
  const keys = createKeyspace(settings.keyPrefix)
  const events = createEmitter<EventCatalogue>((error) => {
    logger.error(`holdfast: an event listener threw: ${stackOf(error)}`)
  }, 'holdfast')
  const statuses = createStatusRegistry()
  const risks = target.kind === 'borrowed' ? risksOf(target.client) : []
  const client =
    target.kind === 'none' ? undefined : target.kind === 'borrowed' ? target.client : connect(settings, 'command')
  const link = new Link({
    client,
    borrowed: target.kind === 'borrowed',
    deadline: commandTimeout,
    connectTimeout: settings.connectTimeout,
    probeInterval: settings.probeInterval,
    breakerThreshold: settings.breakerThreshold,
    events,
    logger,
  })
  const gate = new Gate({ link, client, deadline: commandTimeout, maxInFlight: settings.maxInFlight, events })
  const subscriber = createSubscriber({
    open: () => client && connectOnce(settings, 'subscriber', client),
    shards:
      client !== undefined && isCluster(client)
        ? shardsOf(client, (node) => connectOnce(settings, 'subscriber', node))
        : undefined,
    onError: (error) => logger.error(`holdfast: a message handler threw: ${stackOf(error)}`),
    onRefused: (error) => manager.warn('HOLDFAST_SUBSCRIBE_REFUSED', `Redis refused a channel: ${describe(error)}`),
  })
  const pool = createPool({
    open: () => (client === undefined ? undefined : connect(settings, 'blocking')),
    max: settings.maxConnections,
  })
  const owned = createOwned(
    (role) => (client === undefined ? undefined : connect(settings, role)),
    commandTimeout,
    () => link.doubt(),
  )
  const tracking = createTracking({
    nodes: () => (client === undefined || !link.usable ? [] : masters(client)),
    open: (node) => connectOnce(settings, 'tracking', node),
    prefixOf: (feature) => `${keys.key(feature)}:`,
    probeKey: (feature, node) => probeKeyFor(client as RedisClient, node, (part) => keys.key(feature, 'probe', part)),
    onError: (error) => logger.error(`holdfast: a watcher threw: ${String(error)}`),
  })
  const warned = new Set<string>()
  const awaited = new Set<() => void>()
  let closing: Promise<void> | undefined

  const manager: RedisManager = {
    get state() {
      return link.state
    },
    get available() {
      return link.usable
    },
    keys,
    subscriber,
    pool,
    tracking,
    attempt(operation, command, fallback, call) {
      const refusal = gate.refusal()
      if (refusal !== undefined) {
        refused(operation)
        return fall(fallback, refusal)
      }
      return new Promise((resolve, reject) => {
        gate.send(operation, command, deadlineOf(call), resolve, (reason, error) => {
          if (reason === 'error') reportError(operation, error)
          fall(fallback, reason).then(resolve, reject)
        })
      })
    },
    execute(operation, command, call) {
      const refusal = gate.refusal()
      if (refusal !== undefined) {
        refused(operation)
        return Promise.reject(new RedisUnavailableError(operation, refusal))
      }
      return new Promise((resolve, reject) => {
        gate.send(operation, command, deadlineOf(call), resolve, (reason, error) => {
          reject(
            reason === 'error'
              ? asRedisError(operation, 'lost', error)
              : new RedisUnavailableError(operation, reason, error),
          )
        })
      })
    },
    on: events.on,
    emit: events.emit,
    listens: events.listens,
    open: owned.open,
    warn(code, message) {
      if (warned.has(code)) return
      warned.add(code)
      logger.warn(`holdfast: ${message} [${code}]`)
      events.emit('warning', { code, message })
    },
    register: statuses.register,
    sources: statuses.sources,
    health: () => healthOf(link, gate, ping),
    stats: () => statsOf(manager),
    namespaces: (options) => namespacesOf(manager, options),
    ready: (within = 2000) => untilUsable(Math.min(toMs(within), MAX_DELAY)),
    close() {
      closing ??= close()
      return closing
    },
  }
  for (const { code, message } of risks) manager.warn(code, message)
  // A borrowed client that was made with lazyConnect waits for a first command, and none is sent before it is connected.
  if (client?.status === 'wait') client.connect().catch(() => {})
  return manager

  function refused(operation: string): void {
    if (events.listens('redis.call')) events.emit('redis.call', { operation, outcome: 'refused', durationMs: 0 })
  }

  function reportError(operation: string, error: unknown): void {
    if (classify(error) === 'reply') {
      const kind = replyKind((error as Error).message)
      manager.warn(
        `HOLDFAST_REDIS_ERROR:${operation}:${kind}`,
        `Redis refused ${operation} with ${kind}; the fallback answered`,
      )
    } else {
      const name = isError(error) ? error.name : typeof error
      manager.warn(
        `HOLDFAST_OPERATION_THREW:${operation}:${name}`,
        `${operation} threw ${name} ${placeOf(error)}; the fallback answered`,
      )
    }
  }

  function ping(): Promise<number | undefined> {
    const started = performance.now()
    return manager.attempt(
      'ping',
      async (it) => {
        await Promise.all(allMasters(it).map((node) => node.ping()))
        return performance.now() - started
      },
      () => undefined,
    )
  }

  function untilUsable(ms: number): Promise<boolean> {
    if (link.usable || link.state === 'closed') return Promise.resolve(link.usable)
    return new Promise((resolve) => {
      const settle = (): void => {
        clearTimeout(timer)
        for (const off of offs) off()
        awaited.delete(settle)
        resolve(link.usable)
      }
      const offs = [events.on('up', settle), events.on('recovered', settle)]
      const timer = setTimeout(settle, ms)
      awaited.add(settle)
    })
  }

  async function close(): Promise<void> {
    const drainMs = link.usable ? DRAIN_MS : 0
    link.close()
    for (const settle of awaited) settle()
    subscriber.close()
    tracking.close()
    const own = target.kind === 'borrowed' ? undefined : client
    await Promise.all([own && disconnect(own, drainMs), pool.close(), owned.close()])
  }
}

function stackOf(error: unknown): string {
  return (isError(error) && error.stack) || String(error)
}

function deadlineOf(call: CallOptions | undefined): number | undefined {
  return call?.deadline === undefined ? undefined : Math.min(toMs(call.deadline), MAX_DELAY)
}

function fall<T>(fallback: (reason: FallbackReason) => T | Promise<T>, reason: FallbackReason): Promise<T> {
  try {
    return Promise.resolve(fallback(reason))
  } catch (error) {
    return Promise.reject(error)
  }
}
