import { Alone } from './alone.js'
import { AwayLoader } from './away.js'
import { Filling } from './filling.js'
import { before, Flights, isCurrent, RETRY } from './flight.js'
import { judge, type Verdict } from './freshness.js'
import type { Job, LoaderOptions } from './job.js'
import { type LeadingParts, lead } from './leading.js'
import { SharedReads } from './reads.js'
import { Refresher } from './refresher.js'
import { NO_MARK } from './store.js'
import type { Resident } from './tier.js'
import type { Held } from './values.js'

/** Of a key that others change all the time. */
const MAX_ATTEMPTS = 20

/** Reads through, computing once per key: in this process by sharing, among processes by a lease. */
export class Loader {
  readonly #options: LoaderOptions
  readonly #flights = new Flights()
  // Who holds the lease matters only to those who may join a computation of this process.
  readonly #reads = new SharedReads((entryKey) => this.#flights.has(entryKey))
  readonly #parts: LeadingParts
  readonly #away: AwayLoader
  readonly #refresher: Refresher

  constructor(options: LoaderOptions) {
    const filling = new Filling(options)
    this.#options = options
    this.#parts = { options, filling, alone: new Alone(options) }
    this.#away = new AwayLoader(options, this.#flights)
    this.#refresher = new Refresher(options, filling)
  }

  async load(job: Job): Promise<unknown> {
    const arrivedAt = performance.now()
    const deadline = arrivedAt + job.policy.waitMs
    for (let attempt = 1; ; attempt++) {
      const reading = await this.#reads.read(job)
      if (reading.state === 'away') return (await this.#away.load(job)).take()
      let rescue: Resident<Held> | undefined
      if (reading.state === 'found') {
        const verdict = this.#judge(job, reading.resident)
        if (verdict === 'rescue') rescue = reading.resident
        else if (verdict !== 'expired') return this.#serve(job, reading.resident, verdict, 'redis').take()
      }
      try {
        if (attempt > MAX_ATTEMPTS) return (await this.#parts.alone.run(job, arrivedAt)).take()
        const flight = this.#flights.get(job.entryKey)
        if (flight === undefined) {
          const held = await this.#flights.start(job.entryKey, job.store.epoch, (own) =>
            lead(this.#parts, job, own, { seen: reading.mark, deadline }),
          )
          if (held !== RETRY) return held.take()
        } else {
          const held = await before(deadline, flight.promise)
          if (held === undefined) return (await this.#parts.alone.run(job, arrivedAt)).take()
          if (held !== RETRY && isCurrent(flight, reading, arrivedAt)) return held.take()
        }
      } catch (error) {
        return this.#rescued(error, rescue).take()
      }
    }
  }

  /** Serves a copy of this process where it is fresh enough, renewing it in the background where it is time. */
  serve(job: Job, resident: Resident<Held>): Held | undefined {
    const verdict = this.#judge(job, resident)
    return verdict === 'rescue' || verdict === 'expired' ? undefined : this.#serve(job, resident, verdict, 'local')
  }

  /** Renews in the background, unless somebody else does. */
  refresh(job: Job, seen: { readonly createdAt: number }): void {
    this.#refresher.refresh(job, seen)
  }

  /** Computes and stores, whoever computes and whatever is stored. */
  through(job: Job): Promise<unknown> {
    return this.#parts.filling.through(job, NO_MARK)
  }

  #judge({ policy }: Job, resident: Resident<Held>): Verdict {
    return judge(resident, policy, Date.now(), resident.value.costMs, randomAboveZero)
  }

  #serve(job: Job, resident: Resident<Held>, verdict: 'fresh' | 'early' | 'stale', tier: 'local' | 'redis'): Held {
    const { counters, report, onUse } = this.#options
    if (verdict === 'stale') counters.stale++
    else if (tier === 'local') counters.localHits++
    else counters.redisHits++
    report({ outcome: verdict === 'stale' ? 'stale' : 'hit', tier, ageMs: Date.now() - resident.createdAt })
    onUse?.(job, resident)
    if (verdict !== 'fresh') this.refresh(job, resident)
    return resident.value
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
}

function randomAboveZero(): number {
  return 1 - Math.random()
}
