import type { Job } from './job.js'
import type { Reading } from './store.js'
import type { Held } from './values.js'

type Wanted = Pick<Job, 'store' | 'key' | 'entryKey' | 'policy'>

interface Running {
  readonly current: Promise<Reading<Held>>
  next: Promise<Reading<Held>> | undefined
}

/**
 * Shares reads of one key without ever giving a caller what was read before it asked: those who come during a read wait
 * for the next one, together.
 */
export class SharedReads {
  readonly #running = new Map<string, Running>()
  readonly #wantsLease: (entryKey: string) => boolean

  /** `wantsLease` says, when a read begins, whether it is to tell who holds the lease. */
  constructor(wantsLease: (entryKey: string) => boolean) {
    this.#wantsLease = wantsLease
  }

  read(wanted: Wanted): Promise<Reading<Held>> {
    const running = this.#running.get(wanted.entryKey)
    if (running === undefined) return this.#start(wanted)
    running.next ??= running.current.then(() => this.#start(wanted))
    return running.next
  }

  #start({ store, key, entryKey, policy }: Wanted): Promise<Reading<Held>> {
    const current = store.read(key, policy.tags, this.#wantsLease(entryKey))
    const running: Running = { current, next: undefined }
    this.#running.set(entryKey, running)
    const end = (): void => {
      if (running.next === undefined) this.#running.delete(entryKey)
    }
    current.then(end, end)
    return current
  }
}
