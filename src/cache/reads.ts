import type { Reading, Store } from './store.js'

interface Running<Value> {
  readonly current: Promise<Reading<Value>>
  next: Promise<Reading<Value>> | undefined
}

/**
 * Shares reads of one key without ever giving a caller what was read before it asked: those who come during a read wait
 * for the next one, together.
 */
export class SharedReads<Value> {
  readonly #running = new Map<string, Running<Value>>()
  readonly #wantsLease: (entryKey: string) => boolean

  /** `wantsLease` says, when a read begins, whether it is to tell who holds the lease. */
  constructor(wantsLease: (entryKey: string) => boolean) {
    this.#wantsLease = wantsLease
  }

  read(store: Store<Value>, key: string, entryKey: string, tags: readonly string[]): Promise<Reading<Value>> {
    const running = this.#running.get(entryKey)
    if (running === undefined) return this.#start(store, key, entryKey, tags)
    running.next ??= running.current.then(() => this.#start(store, key, entryKey, tags))
    return running.next
  }

  #start(store: Store<Value>, key: string, entryKey: string, tags: readonly string[]): Promise<Reading<Value>> {
    const current = store.read(key, tags, this.#wantsLease(entryKey))
    const running: Running<Value> = { current, next: undefined }
    this.#running.set(entryKey, running)
    const end = (): void => {
      if (running.next === undefined) this.#running.delete(entryKey)
    }
    current.then(end, end)
    return current
  }
}
