import type { RedisManager } from '../redis/index.js'
import { type Compute, type Computed, runComputation } from './computation.js'
import type { CacheOutcome } from './events.js'
import { before, type Flight, Flights, isCurrent, RETRY } from './flight.js'
import { type FreshnessPolicy, judge, timesOf } from './freshness.js'
import type { MemoryFallback } from './memory.js'
import { SharedReads } from './reads.js'
import type { CacheCounters } from './stats.js'
import { type Begun, type Mark, markOf, NO_MARK, type Snapshot, type Store } from './store.js'
import type { Resident } from './tier.js'
import { costOf, type Held, type Values } from './values.js'

/** The options of one call, complete. */
export interface LoadPolicy extends FreshnessPolicy {
  readonly ttlMs: number
  readonly negativeTtlMs: number | undefined
  readonly jitter: number
  readonly tags: readonly string[]
  readonly waitMs: number
  readonly leaseMs: number
}

export interface Job {
  readonly store: Store<Held>
  readonly key: string
  readonly entryKey: string
  readonly compute: Compute
  readonly policy: LoadPolicy
}

export interface LoaderOptions {
  readonly redis: RedisManager
  readonly values: Values
  readonly memory: MemoryFallback | undefined
  readonly counters: CacheCounters
  readonly report: (outcome: Omit<CacheOutcome, 'namespace'>) => void
  readonly onRefreshError: (error: unknown) => void
  /** A fresh value was served or stored: for whoever keeps popular keys warm. */
  readonly onUse?: ((job: Job, times: { createdAt: number; freshUntil: number }) => void) | undefined
  readonly signal: AbortSignal
  readonly maxRefreshes: number
}

const COOL_DOWN_MS = 500
/** Of a key that others change all the time. */
const MAX_ATTEMPTS = 20
const ALONE_SHARED_MS = 500

/** Reads through, computing once per key: in this process by sharing, among processes by a lease. */
export class Loader {
  readonly #options: LoaderOptions
  readonly #flights = new Flights()
  // Who holds the lease matters only to those who may join a computation of this process.
  readonly #reads = new SharedReads<Held>((entryKey) => this.#flights.has(entryKey))
  readonly #refreshing = new Set<string>()
  readonly #alones = new Map<string, { readonly begunAt: number; readonly promise: Promise<Held> }>()

  constructor(options: LoaderOptions) {
    this.#options = options
  }

  async load(job: Job): Promise<unknown> {
    const arrivedAt = performance.now()
    const deadline = arrivedAt + job.policy.waitMs
    for (let attempt = 1; ; attempt++) {
      const reading = await this.#reads.read(job.store, job.key, job.entryKey, job.policy.tags)
      if (reading.state === 'away') return (await this.#loadAway(job)).take()
      let rescue: Resident<Held> | undefined
      if (reading.state === 'found') {
        const served = this.#serve(job, reading.resident, 'redis')
        if (served !== undefined) return served.take()
        if (this.#judge(job, reading.resident) === 'rescue') rescue = reading.resident
      }
      if (attempt > MAX_ATTEMPTS) return (await this.#alone(job, arrivedAt, rescue)).take()
      const flight = this.#flights.get(job.entryKey)
      if (flight === undefined) {
        const held = await this.#flights.start(job.entryKey, job.store.epoch, (own) =>
          this.#lead(job, own, { seen: reading.mark, deadline, rescue }),
        )
        if (held !== RETRY) return held.take()
      } else {
        const held = await before(deadline, flight.promise)
        if (held === undefined) return (await this.#alone(job, arrivedAt, rescue)).take()
        if (held !== RETRY && isCurrent(flight, reading, arrivedAt)) return held.take()
      }
    }
  }

  /** Serves what is fresh enough, renewing it in the background where it is time; `undefined` where it is not. */
  serve(job: Job, resident: Resident<Held>): Held | undefined {
    return this.#serve(job, resident, 'local')
  }

  /** Renews in the background, unless somebody else does. */
  refresh(job: Job, seen: { readonly createdAt: number }): void {
    const { counters, maxRefreshes, onRefreshError } = this.#options
    if (this.#refreshing.has(job.entryKey) || this.#refreshing.size >= maxRefreshes) return
    this.#refreshing.add(job.entryKey)
    const done = (coolDown: boolean): void => {
      if (!coolDown) return void this.#refreshing.delete(job.entryKey)
      setTimeout(() => this.#refreshing.delete(job.entryKey), COOL_DOWN_MS).unref()
    }
    const work = async (): Promise<boolean> => {
      const begun = await this.#begin(job, markOf(seen))
      if (begun.state !== 'leading') return false
      counters.refreshes++
      await this.#computeUnder(job, begun, () => {})
      return true
    }
    work().then(
      (renewed) => done(!renewed),
      (error) => {
        counters.refreshErrors++
        onRefreshError(error)
        done(true)
      },
    )
  }

  /** Computes, then stores under a lease that is taken from whoever holds it: for values that are written elsewhere. */
  async through(job: Job): Promise<unknown> {
    const begun = await job.store.begin(job.key, { ...this.#lease(job), seen: NO_MARK, force: true })
    try {
      if (begun.state !== 'leading') {
        const { held } = await runComputation(job.compute, job.policy, this.#options)
        await job.store.remove([job.key])
        return held.take()
      }
      const { held, stored } = await this.#computeUnder(job, begun, () => {})
      // Somebody wrote at the same time: which of the two the source kept is not known here.
      if (!stored) await job.store.remove([job.key])
      return held.take()
    } catch (error) {
      await job.store.remove([job.key])
      throw error
    }
  }

  #judge({ policy }: Job, resident: Resident<Held>): ReturnType<typeof judge> {
    return judge(
      resident,
      policy,
      Date.now(),
      policy.xfetch > 0 ? costOf(resident.metadata) : 0,
      () => 1 - Math.random(),
    )
  }

  #serve(job: Job, resident: Resident<Held>, tier: 'local' | 'redis'): Held | undefined {
    const { counters, report, onUse } = this.#options
    const verdict = this.#judge(job, resident)
    if (verdict === 'rescue' || verdict === 'expired') return undefined
    const ageMs = Date.now() - resident.createdAt
    if (verdict === 'stale') counters.stale++
    else counters[tier === 'local' ? 'localHits' : 'redisHits']++
    report({ outcome: verdict === 'stale' ? 'stale' : 'hit', tier, ageMs })
    onUse?.(job, resident)
    if (verdict !== 'fresh') this.refresh(job, resident)
    return resident.value
  }

  async #lead(
    job: Job,
    flight: Flight,
    { seen, deadline, rescue }: { seen: Mark; deadline: number; rescue: Resident<Held> | undefined },
  ): Promise<Held | typeof RETRY> {
    let begun = await this.#begin(job, seen)
    if (begun.state === 'busy') {
      const remaining = deadline - performance.now()
      if (remaining > 0) {
        const waking = job.store.bus.wake(job.entryKey, Math.min(remaining, job.policy.leaseMs))
        await waking.listening
        // Asked again, now that its end will be heard; this also tells the holder that somebody waits.
        begun = await this.#begin(job, seen)
        if (begun.state === 'busy') {
          await waking.woken
          if (performance.now() < deadline) return RETRY
        }
        waking.cancel()
      }
    }
    if (begun.state === 'changed') return RETRY
    if (begun.state === 'busy') {
      return this.#alone(job, deadline - job.policy.waitMs, rescue, (begunAt) => {
        flight.begunAt = begunAt
      })
    }
    const begin = (snapshot?: Snapshot, lease?: string): void => {
      flight.begunAt = performance.now()
      flight.snapshot = snapshot
      flight.lease = lease
    }
    try {
      if (begun.state === 'leading') return (await this.#computeUnder(job, begun, begin)).held
      begin()
      return (await runComputation(job.compute, job.policy, this.#options)).held
    } catch (error) {
      return this.#rescued(error, rescue)
    }
  }

  async #computeUnder(
    job: Job,
    { token, snapshot }: Extract<Begun, { state: 'leading' }>,
    begin: (snapshot: Snapshot, lease: string) => void,
  ): Promise<{ held: Held; stored: boolean }> {
    const { store, key, policy } = job
    const renewal = setInterval(() => void store.renew(key, token, policy.leaseMs), policy.leaseMs / 3)
    renewal.unref()
    try {
      begin(snapshot, token)
      const computed = await runComputation(job.compute, job.policy, this.#options)
      const stored = await this.#fill(job, computed, snapshot, token)
      if (!stored) await store.release(key, token)
      return { held: computed.held, stored }
    } catch (error) {
      await store.release(key, token)
      throw error
    } finally {
      clearInterval(renewal)
    }
  }

  async #fill(job: Job, computed: Computed, before: Snapshot, token: string): Promise<boolean> {
    const { store, key, policy } = job
    const { values, counters, onUse } = this.#options
    const { packed, ttlMs, moreTags } = computed
    if (packed === undefined) return false
    const squeezed = await values.squeeze(packed)
    if (squeezed === undefined) {
      counters.tooLarge++
      return false
    }
    const snapshot = await store.extend(before, moreTags, lifetimeOf(policy, ttlMs))
    if (snapshot === undefined) return false
    const times = timesOf(ttlMs, policy, policy.jitter, Date.now(), Math.random)
    const stored = await store.fill(key, token, { ...times, ...squeezed }, snapshot)
    if (stored) {
      counters.stored++
      onUse?.(job, times)
    }
    return stored
  }

  async #loadAway(job: Job): Promise<Held> {
    const { memory, redis, counters, report } = this.#options
    const remembers = memory !== undefined && !redis.available
    const kept = remembers ? memory.get(job.entryKey, Date.now()) : undefined
    if (kept !== undefined) {
      counters.memoryHits++
      report({ outcome: 'hit', tier: 'memory' })
      return kept
    }
    const present = this.#flights.get(job.entryKey)
    if (present !== undefined && present.epoch === job.store.epoch) {
      const held = await present.promise
      if (held !== RETRY) return held
    }
    const held = await this.#flights.start(job.entryKey, job.store.epoch, async (flight) => {
      flight.begunAt = performance.now()
      const epoch = job.store.epoch
      const computed = await runComputation(job.compute, job.policy, this.#options)
      const { packed, ttlMs } = computed
      // What an invalidation of this process has outdated meanwhile is not kept either.
      if (remembers && packed !== undefined && !redis.available && epoch === job.store.epoch) {
        memory.set(job.entryKey, computed.held, 2 * packed.body.length, Date.now() + ttlMs)
      }
      return computed.held
    })
    return held as Held
  }

  /** For those who have waited long enough: nothing is stored, but all who asked before it began share it. */
  async #alone(
    job: Job,
    arrivedAt: number,
    rescue: Resident<Held> | undefined,
    onBegin?: (begunAt: number) => void,
  ): Promise<Held> {
    this.#options.counters.waitTimeouts++
    const present = this.#alones.get(job.entryKey)
    try {
      if (present !== undefined && present.begunAt >= arrivedAt) {
        onBegin?.(present.begunAt)
        return await present.promise
      }
      const alone = {
        begunAt: performance.now(),
        promise: runComputation(job.compute, job.policy, this.#options).then(({ held }) => held),
      }
      this.#alones.set(job.entryKey, alone)
      onBegin?.(alone.begunAt)
      const forget = (): void => {
        if (this.#alones.get(job.entryKey) === alone) this.#alones.delete(job.entryKey)
      }
      // Deadlines of callers who came together pass one after the other: the result waits for the rest of them.
      alone.promise.then(() => setTimeout(forget, ALONE_SHARED_MS).unref(), forget)
      return await alone.promise
    } catch (error) {
      return this.#rescued(error, rescue)
    }
  }

  #rescued(error: unknown, rescue: Resident<Held> | undefined): Held {
    const { counters, report } = this.#options
    if (rescue === undefined) {
      report({ outcome: 'failed' })
      throw error
    }
    counters.rescued++
    report({ outcome: 'rescued', tier: 'redis', ageMs: Date.now() - rescue.createdAt })
    return rescue.value
  }

  #begin(job: Job, seen: Mark): Promise<Begun> {
    return job.store.begin(job.key, { ...this.#lease(job), seen })
  }

  #lease({ policy }: Job): { tags: readonly string[]; lifetimeMs: number; leaseMs: number } {
    return { tags: policy.tags, lifetimeMs: lifetimeOf(policy, policy.ttlMs), leaseMs: policy.leaseMs }
  }
}

function lifetimeOf({ staleWhileRevalidateMs, staleIfErrorMs }: LoadPolicy, ttlMs: number): number {
  return ttlMs + Math.max(staleWhileRevalidateMs, staleIfErrorMs)
}
