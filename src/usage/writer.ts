import { randomBytes } from 'node:crypto'
import type { Layout } from './layout.js'
import type { UsageSettings } from './options.js'
import type { Tallies, Tally } from './tally.js'
import { type Write, writeOf, writeScript } from './write.js'

/** Moves tallies to Redis, away from any request. */
export interface Writer {
  readonly flushed: number
  /** Calls in writes that were given up, or that Redis refused for good. */
  readonly dropped: number
  /** Tallies taken, but not known to be written. */
  readonly pending: number
  /** There is something to write. */
  wake(): void
  /** True once everything tracked before is in Redis; false where it is not, for now. */
  flush(): Promise<boolean>
  close(): Promise<void>
}

interface Pending {
  readonly number: number
  readonly write: Write
  readonly tallies: readonly Tally[]
  /** When it was first sent. */
  readonly since: number
}

/** Per write: some 30 commands each, so that a write holds Redis for a few milliseconds at most. */
const MOST_TALLIES = 50
const DEADLINE = 1000
const CLOSE_MS = 1000

/** For how long a shard knows which writes it has seen, and for how long, with a margin, a write is sent again. */
const REMEMBERED = 24 * 3_600_000
const GIVEN_UP = 23 * 3_600_000

/** Spreads the processes of a fleet that all saw Redis return in the same moment. */
const JITTER = 200

export function createWriter(tallies: Tallies, layout: Layout, settings: UsageSettings): Writer {
  const { redis, flushInterval } = settings
  const process = randomBytes(9).toString('base64url')
  const numbers = new Array<number>(layout.shards).fill(0)
  const pending = new Array<Pending | undefined>(layout.shards).fill(undefined)
  let flushed = 0
  let dropped = 0
  let reported = 0
  let timer: NodeJS.Timeout | undefined
  let running: Promise<boolean> | undefined
  let closed = false
  const offs = [
    redis.on('up', () => schedule(Math.random() * JITTER)),
    redis.on('recovered', () => schedule(Math.random() * JITTER)),
  ]

  function waiting(): number {
    return tallies.size + pending.reduce((sum, each) => sum + (each?.tallies.length ?? 0), 0)
  }

  function schedule(delay: number): void {
    if (closed || waiting() === 0 || running !== undefined) return
    clearTimeout(timer)
    timer = setTimeout(() => void flush(), delay)
    timer.unref()
  }

  function flush(): Promise<boolean> {
    clearTimeout(timer)
    timer = undefined
    running ??= writeAll().finally(() => {
      running = undefined
      report()
      // Without Redis there is nothing to try: its return wakes us.
      if (redis.available) schedule(flushInterval)
    })
    return running
  }

  async function writeAll(): Promise<boolean> {
    const done = await Promise.all(pending.map((_, shard) => writeShard(shard)))
    return done.every(Boolean)
  }

  /** One write at a time, in order: the next number is used only after the answer to the one before. */
  async function writeShard(shard: number): Promise<boolean> {
    for (;;) {
      const next = pending[shard] ?? prepare(shard)
      if (next === undefined) return true
      if (settings.now() - next.since > GIVEN_UP) {
        dropped += callsOf(next)
        pending[shard] = undefined
        continue
      }
      pending[shard] = next
      if (!redis.available) return false
      const started = performance.now()
      const refused = await redis.attempt<number | undefined>(
        'usage.write',
        (client) =>
          writeScript.run(
            client,
            [layout.guard(shard, process), ...next.write.keys],
            [next.number, REMEMBERED, ...next.write.args],
          ),
        () => undefined,
        { deadline: DEADLINE },
      )
      if (redis.listens('usage.written')) {
        const outcome = refused === undefined ? 'late' : 'written'
        redis.emit('usage.written', { calls: callsOf(next), outcome, durationMs: performance.now() - started })
      }
      if (refused === undefined) return false
      pending[shard] = undefined
      flushed += callsOf(next)
      if (refused > 0)
        redis.emit('data.corrupt', { feature: 'usage', problem: 'a key holds foreign data; it was left as it is' })
    }
  }

  function prepare(shard: number): Pending | undefined {
    const taken = tallies.take(MOST_TALLIES, ({ user }) => layout.shardOf(user) === shard)
    if (taken.length === 0) return undefined
    const number = (numbers[shard] ?? 0) + 1
    numbers[shard] = number
    const write = writeOf(taken, shard, layout, settings)
    return { number, write, tallies: taken, since: settings.now() }
  }

  function report(): void {
    const lost = dropped + tallies.dropped - reported
    if (lost === 0) return
    reported += lost
    redis.warn('HOLDFAST_USAGE_DROPPED', 'usage holds all it may while Redis is away: further calls are not counted')
    redis.emit('usage.dropped', { calls: lost })
  }

  return {
    get flushed() {
      return flushed
    },
    get dropped() {
      return dropped
    },
    get pending() {
      return waiting()
    },
    wake() {
      if (timer === undefined && redis.available) schedule(flushInterval)
    },
    flush: flushAll,
    async close() {
      await within(flushAll(), CLOSE_MS)
      closed = true
      clearTimeout(timer)
      for (const off of offs) off()
    },
  }

  async function flushAll(): Promise<boolean> {
    // What is running may have begun before the last call was tracked.
    if (running !== undefined) await running
    return flush()
  }
}

async function within(work: Promise<unknown>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, ms)
  })
  await Promise.race([work, late])
  clearTimeout(timer)
}

function callsOf({ tallies }: Pending): number {
  return tallies.reduce((sum, { calls }) => sum + calls, 0)
}
