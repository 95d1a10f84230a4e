import type { RedisManager } from '../redis/index.js'
import type { Appender } from './append.js'
import { type Entry, type LevelCounts, Ring, type RingBounds } from './ring.js'

/** What a time without Redis cost. */
export interface Gap {
  readonly downMs: number
  /** Events that waited. */
  readonly buffered: number
  readonly dropped: LevelCounts
}

export interface WriterOptions {
  readonly redis: RedisManager
  readonly appender: Appender
  readonly bounds: RingBounds
  readonly flushInterval: number
  readonly now: () => number
  /** Called once the events of an outage, or of an overload, are written. */
  readonly onGap: (gap: Gap) => void
}

export interface Writer {
  readonly ring: Ring
  readonly written: number
  push(entry: Entry): void
  /** True once everything pushed before is in Redis; false where it is not within the time. */
  flush(withinMs: number): Promise<boolean>
  close(withinMs: number): Promise<boolean>
}

/** Events per round trip: at most about a millisecond of Redis' time, and fewer where even that is too slow. */
const MAX_BATCH = 500
const MIN_BATCH = 20
/** So many do not wait for the interval, and make an outage worth a note. */
const MANY = 200
const MAX_BACKOFF = 5000

/** A shorter time without Redis, such as the first connect, is no gap. */
const NOTABLE_MS = 1000

/** Spreads the processes of a fleet that all saw Redis return in the same moment. */
const JITTER = 200

/**
 * Moves events from the ring to Redis, one batch at a time and in order, away from any request. A batch leaves the
 * ring only after the reply; where the outcome is unknown the same batch is sent again.
 */
export function createWriter({ redis, appender, bounds, flushInterval, now, onGap }: WriterOptions): Writer {
  const ring = new Ring(bounds)
  const state = { batch: MAX_BATCH, sequence: 0, written: 0, failures: 0, buffered: 0, closed: false, warned: false }
  let awaySince: number | undefined
  let timer: NodeJS.Timeout | undefined
  let due = Number.POSITIVE_INFINITY
  let draining: Promise<boolean> | undefined

  function schedule(delay: number): void {
    if (state.closed || draining !== undefined) return
    const at = performance.now() + delay
    if (timer !== undefined && due <= at) return
    clearTimeout(timer)
    due = at
    timer = setTimeout(() => {
      timer = undefined
      void drain()
    }, delay)
    timer.unref()
  }

  function drain(): Promise<boolean> {
    draining ??= work().finally(() => {
      draining = undefined
      if (ring.size > 0 && redis.available) schedule(state.failures > 0 ? backoff(state.failures) : flushInterval)
    })
    return draining
  }

  async function work(): Promise<boolean> {
    clearTimeout(timer)
    timer = undefined
    for (;;) {
      if (ring.size === 0 && !announce()) return true
      if (!redis.available) return false
      const batch = ring.take(state.batch)
      const done = await redis.attempt(
        'security.append',
        async (client) => {
          await appender.append(client, batch, state.sequence)
          return true
        },
        () => false,
      )
      if (!done) {
        state.failures++
        // A batch that takes longer than the deadline would never be done.
        state.batch = Math.max(MIN_BATCH, Math.floor(state.batch / 2))
        awaySince ??= now()
        return false
      }
      appender.commit(batch)
      ring.settle(batch.length)
      state.batch = Math.min(MAX_BATCH, state.batch * 2)
      state.sequence += batch.length
      state.written += batch.length
      state.failures = 0
    }
  }

  /** Called with an empty ring. True where something was pushed into it. */
  function announce(): boolean {
    const downMs = awaySince === undefined ? 0 : now() - awaySince
    const lost = total(ring.dropped) > 0
    const notable = lost || state.buffered > MANY || (state.buffered > 0 && downMs >= NOTABLE_MS)
    const gap = { downMs, buffered: state.buffered, dropped: notable ? ring.takeDropped() : ring.dropped }
    awaySince = undefined
    state.buffered = 0
    if (!notable) return false
    onGap(gap)
    return ring.size > 0
  }

  function onReturn(): void {
    state.failures = 0
    if (ring.size > 0 || awaySince !== undefined) schedule(Math.random() * JITTER)
  }
  const onAway = (): void => {
    awaySince ??= now()
  }
  const offs = [
    redis.on('up', onReturn),
    redis.on('recovered', onReturn),
    redis.on('down', onAway),
    redis.on('degraded', onAway),
  ]

  async function flush(withinMs: number): Promise<boolean> {
    const deadline = performance.now() + withinMs
    for (;;) {
      const left = deadline - performance.now()
      if (left <= 0) return ring.size === 0
      const result = await within(drain(), left)
      if (result === true) return true
      if (result === undefined || !redis.available) return ring.size === 0
      await pause(Math.min(50, left))
    }
  }

  function warnOfDrops(): void {
    if (state.warned) return
    state.warned = true
    redis.warn(
      'HOLDFAST_SECURITY_DROPPED',
      'the security log holds all it may while Redis is away: the least important events are in the local sink only',
    )
  }

  return {
    ring,
    get written() {
      return state.written
    },
    push(entry) {
      if (!redis.available || awaySince !== undefined) {
        awaySince ??= now()
        state.buffered++
      }
      const kept = ring.push(entry)
      if (!kept || total(ring.dropped) > 0) warnOfDrops()
      if (redis.available && state.failures === 0) schedule(ring.size >= MANY ? 0 : flushInterval)
    },
    flush,
    async close(withinMs) {
      const done = await flush(withinMs)
      state.closed = true
      clearTimeout(timer)
      for (const off of offs) off()
      return done
    },
  }
}

function total({ info, warn, critical }: LevelCounts): number {
  return info + warn + critical
}

function backoff(failures: number): number {
  const limit = Math.min(100 * 2 ** Math.min(failures, 10), MAX_BACKOFF)
  return limit / 2 + Math.random() * (limit / 2)
}

function within<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => resolve(undefined), ms)
    promise.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms)
  })
}
