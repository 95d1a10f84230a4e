import type { FeatureStatus, RedisStats } from '../../redis/index.js'
import { toMs } from '../../shared/duration.js'
import { callSafely } from '../../shared/emitter.js'
import { checkOptions, requireOptions } from '../../shared/options.js'
import { createLease } from '../lease.js'
import { createLoop } from '../loop.js'
import type { MonitorAlert } from './alert.js'
import { AlertBook, type Notice, type Observed } from './book.js'
import { isBad, levelsOf, MEASURED } from './levels.js'
import { type MonitorOptions, monitorRules } from './options.js'
import type { Readings } from './readings.js'
import { createSampler } from './sampler.js'
import { createStandingAlerts } from './standing.js'

export interface Monitor {
  /** Conditions that last, the oldest first. */
  alerts(): readonly MonitorAlert[]
  /** What the last look found; `undefined` before the first, and in processes of a fleet that do not watch. */
  latest(): { readonly latencyMs: number; readonly stats: RedisStats } | undefined
  /** Looks now instead of at the next turn. Never rejects. */
  check(): Promise<void>
  /** Stops watching and gives the lease up. Call it before `redis.close()`. Idempotent. */
  close(): Promise<void>
}

/** A process that woke has its connection back within this time. */
const DOUBT_MS = 2000

/**
 * Watches Redis and tells when something begins to go wrong and when it is over. A lost connection is told at once,
 * everything else after `samples` looks; nothing is told twice.
 *
 * @example
 * ```ts
 * import { createRedisManager } from 'holdfast'
 * import { createMonitor } from 'holdfast/ops'
 *
 * const redis = createRedisManager()
 * const monitor = createMonitor({
 *   redis,
 *   thresholds: { memory: 0.7, evictions: false },
 *   onAlert: ({ condition, message }) => console.error(`${condition}: ${message}`),
 *   onRecovery: ({ condition }) => console.info(`${condition} is well again`),
 * })
 * ```
 */
export function createMonitor(options: MonitorOptions): Monitor {
  checkOptions('createMonitor', options, monitorRules)
  requireOptions('createMonitor', options, monitorRules, 'redis')
  const { redis, every = '10s', thresholds = {}, samples = 2, scope = 'process', name = 'default' } = options
  const levels = levelsOf('createMonitor: thresholds', thresholds)
  const watchesConnection = thresholds.connection ?? true
  const everyMs = toMs(every)
  const book = new AlertBook(samples)
  const lease = createLease(redis, 'monitor', name, Math.max(Math.ceil(3 * everyMs), 5000))
  const stored = createStandingAlerts(redis, name)
  const sampler = createSampler(redis)
  const instance = name === 'default' ? undefined : name
  /** In a fleet: this process had the watch when Redis was last asked. */
  let watching = scope === 'process'
  /** An outage that began when the watch may have been another process' already. */
  let doubted: { readonly reason: string; readonly at: number } | undefined
  let looking: Promise<void> | undefined
  let closing: Promise<void> | undefined

  const loop = createLoop({ every: everyMs, first: 0, run: check })
  const offs = [
    redis.on('down', ({ reason }) => lost('down', reason)),
    redis.on('degraded', ({ reason }) => lost('degraded', reason)),
    redis.on('up', loop.kick),
    redis.on('recovered', loop.kick),
    redis.register({ feature: 'monitor', name: instance, status }),
    redis.register({ feature: 'redis-server', name: instance, status: sampler.status }),
  ]
  if (redis.state === 'down' || redis.state === 'degraded') {
    const state = redis.state
    queueMicrotask(() => lost(state, 'since before the monitor began'))
  }

  function check(): Promise<void> {
    if (closing !== undefined) return Promise.resolve()
    looking ??= look().finally(() => {
      looking = undefined
    })
    return looking
  }

  async function look(): Promise<void> {
    if (redis.state === 'closed') return void close()
    if (!(await onWatch())) return
    const readings = await sampler.take()
    if (readings === undefined) return confirm()
    doubted = undefined
    judge(readings)
    if (watchesConnection) tell({ ...CONNECTED, bad: false })
  }

  async function onWatch(): Promise<boolean> {
    // Without Redis nobody can take the watch over: whoever had it keeps it.
    if (scope === 'process' || !redis.available) return watching
    const before = watching
    watching = await lease.claim()
    if (watching === before) return watching
    sampler.forget()
    if (watching) {
      const alerts = await stored.load()
      if (alerts !== undefined) book.replace(alerts)
      return true
    }
    // What was measured goes on with the successor. An outage was seen here alone, and Redis has just answered.
    for (const alert of book.standing.filter(isOutage))
      announce({ type: 'cleared', alert: { ...alert, clearedAt: new Date() } })
    book.replace([])
    return false
  }

  function judge(readings: Readings): void {
    for (const [condition, level] of levels) {
      const value = readings[condition]
      if (value === undefined) continue
      const bad = isBad(condition, value, level, book.stands(condition))
      tell({ condition, bad, value, threshold: level.raise, message: MEASURED[condition].say(value) })
    }
  }

  function lost(state: 'down' | 'degraded', reason: string): void {
    if (!watching) return
    // Who slept past the end of its lease finds its connection dead, and knows nothing of Redis.
    if (scope === 'process' || lease.held) tellLost(state, reason)
    else doubted ??= { reason, at: performance.now() }
  }

  /** What was doubted is told when it lasts. */
  function confirm(): void {
    const { state } = redis
    if (doubted === undefined || (state !== 'down' && state !== 'degraded')) return
    if (performance.now() - doubted.at >= DOUBT_MS) tellLost(state, doubted.reason)
  }

  function tellLost(state: 'down' | 'degraded', reason: string): void {
    const outage = { bad: true, certain: true, value: undefined, message: `Redis is ${state} (${reason})` }
    const latency = levels.get('latency')
    if (state === 'down' && watchesConnection) tell({ ...CONNECTED, ...outage })
    if (state === 'degraded' && latency) tell({ condition: 'latency', threshold: latency.raise, ...outage })
  }

  function tell(observed: Observed): void {
    const notice = book.observe(observed, new Date())
    if (notice === undefined) return
    if (scope === 'fleet') void stored.save(book.standing.filter((alert) => !isOutage(alert)))
    announce(notice)
  }

  function announce({ type, alert }: Notice): void {
    redis.emit(type === 'raised' ? 'monitor.alert' : 'monitor.cleared', alert)
    const callback = type === 'raised' ? options.onAlert : options.onRecovery
    if (callback === undefined) return
    callSafely(callback, () => redis.warn('HOLDFAST_ALERT_FAILED', 'a callback of the monitor failed'), alert)
  }

  function status(): FeatureStatus {
    const alerts = book.standing
    return {
      status: alerts.length > 0 ? 'warn' : 'pass',
      values: { alerts: alerts.length, watching },
      problem: alerts.length > 0 ? alerts.map(({ message }) => message).join('; ') : undefined,
    }
  }

  function close(): Promise<void> {
    closing ??= (async () => {
      for (const off of offs) off()
      await loop.stop()
      if (scope === 'fleet') await lease.release()
    })()
    return closing
  }

  return {
    alerts: () => book.standing,
    latest: sampler.latest,
    check,
    close,
  }
}

/** Raised because Redis did not answer, which it could not be told either. */
function isOutage({ value }: MonitorAlert): boolean {
  return value === undefined
}

const CONNECTED = {
  condition: 'connection',
  message: 'Redis is connected',
  value: undefined,
  threshold: undefined,
} as const
