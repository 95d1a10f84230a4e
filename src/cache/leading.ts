import type { Alone } from './alone.js'
import { runComputation } from './computation.js'
import type { Filling } from './filling.js'
import { type Flight, RETRY } from './flight.js'
import type { Job, LoaderOptions } from './job.js'
import type { Mark } from './store.js'
import type { Held } from './values.js'

export interface LeadingParts {
  readonly options: LoaderOptions
  readonly filling: Filling
  readonly alone: Alone
}

/**
 * What one caller of a process does for all of them: takes the lease and computes, or waits for whoever in another
 * process holds it. `RETRY` once there is something new to be read.
 */
export async function lead(
  { options, filling, alone }: LeadingParts,
  job: Job,
  flight: Flight,
  { seen, deadline }: { readonly seen: Mark; readonly deadline: number },
): Promise<Held | typeof RETRY> {
  let begun = await filling.begin(job, seen)
  if (begun.state === 'busy') {
    const remaining = deadline - performance.now()
    if (remaining > 0) {
      const waking = job.store.bus.wake(job.entryKey, Math.min(remaining, job.policy.leaseMs))
      await waking.listening
      // Asked again, now that its end will be heard; this also tells the holder that somebody waits.
      begun = await filling.begin(job, seen)
      if (begun.state === 'busy') {
        await waking.woken
        if (performance.now() < deadline) return RETRY
      }
      waking.cancel()
    }
  }
  switch (begun.state) {
    case 'changed':
      return RETRY
    case 'busy':
      return alone.run(job, deadline - job.policy.waitMs, (begunAt) => {
        flight.begunAt = begunAt
      })
    case 'leading':
      flight.begunAt = performance.now()
      flight.snapshot = begun.snapshot
      flight.lease = begun.token
      return (await filling.run(job, begun)).held
    case 'away':
      flight.begunAt = performance.now()
      return (await runComputation(job.compute, job.policy, options)).held
  }
}
