import { type Computed, runComputation } from './computation.js'
import { timesOf } from './freshness.js'
import type { Job, LoaderOptions } from './job.js'
import { lifetimeOf } from './load-policy.js'
import type { Begun, Mark, Snapshot } from './store.js'
import type { Held } from './values.js'

type Leading = Extract<Begun, { state: 'leading' }>

/** Computes values and stores them under a lease. */
export class Filling {
  readonly #options: LoaderOptions

  constructor(options: LoaderOptions) {
    this.#options = options
  }

  /** `force` takes the lease from whoever holds it. */
  begin({ store, key, policy }: Job, seen: Mark, force: boolean = false): Promise<Begun> {
    const lifetimeMs = lifetimeOf(policy, policy.ttlMs)
    return store.begin(key, { tags: policy.tags, lifetimeMs, leaseMs: policy.leaseMs, seen, force })
  }

  /** Keeps the lease alive while it computes; frees it at once where nothing is stored. */
  async run(job: Job, { token, snapshot }: Leading): Promise<{ readonly held: Held; readonly stored: boolean }> {
    const { store, key, policy } = job
    const renewal = setInterval(() => void store.renew(key, token, policy.leaseMs), policy.leaseMs / 3)
    renewal.unref()
    try {
      const computed = await runComputation(job.compute, policy, this.#options)
      const stored = await this.#store(job, computed, snapshot, token)
      if (!stored) await store.release(key, token)
      return { held: computed.held, stored }
    } catch (error) {
      await store.release(key, token)
      throw error
    } finally {
      clearInterval(renewal)
    }
  }

  /** Computes, then stores under a lease taken from whoever holds it: for values that are written elsewhere. */
  async through(job: Job, noMark: Mark): Promise<unknown> {
    const { store, key } = job
    const begun = await this.begin(job, noMark, true)
    try {
      if (begun.state !== 'leading') {
        const { held } = await runComputation(job.compute, job.policy, this.#options)
        await store.remove([key])
        return held.take()
      }
      const { held, stored } = await this.run(job, begun)
      // Somebody wrote at the same time: which of the two the source kept is not known here.
      if (!stored) await store.remove([key])
      return held.take()
    } catch (error) {
      await store.remove([key])
      throw error
    }
  }

  async #store(job: Job, computed: Computed, before: Snapshot, token: string): Promise<boolean> {
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
}
