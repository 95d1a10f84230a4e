import type { RedisManager, Subscription } from '../redis/index.js'

export interface Waking {
  /** True once messages arrive. */
  readonly listening: Promise<boolean>
  readonly woken: Promise<void>
  readonly cancel: () => void
}

/** The channel of a namespace: keys whose entry or version has changed, one per message. */
export class Bus {
  readonly channel: string
  readonly #redis: RedisManager
  readonly #waiting = new Map<string, Set<() => void>>()
  #subscription: Subscription | undefined
  #onChange: ((key: string) => void) | undefined
  #onGap: (() => void) | undefined

  constructor(redis: RedisManager, channel: string) {
    this.#redis = redis
    this.channel = channel
  }

  /** Every message from now on; `onGap` after some may have been lost. True once the server has confirmed. */
  follow(onChange: (key: string) => void, onGap: () => void): Promise<boolean> {
    this.#onChange = onChange
    this.#onGap = onGap
    return this.#subscribe().ready()
  }

  unfollow(): void {
    this.#onChange = undefined
    this.#onGap = undefined
  }

  /** Ends with the first message for the key, with a gap, or after `ms`. */
  wake(key: string, ms: number): Waking {
    const listening = this.#subscribe().ready(Math.min(ms, 1000))
    let cancel = (): void => {}
    const woken = new Promise<void>((resolve) => {
      const set = this.#waiting.get(key) ?? new Set()
      this.#waiting.set(key, set)
      const done = (): void => {
        clearTimeout(timer)
        set.delete(done)
        if (set.size === 0 && this.#waiting.get(key) === set) this.#waiting.delete(key)
        resolve()
      }
      const timer = setTimeout(done, ms)
      set.add(done)
      cancel = done
    })
    return { listening, woken, cancel }
  }

  /** The key has changed: also called by whoever learns it another way. */
  changed(key: string): void {
    for (const done of [...(this.#waiting.get(key) ?? [])]) done()
  }

  close(): void {
    this.#subscription?.close()
    this.#subscription = undefined
    this.#wakeAll()
  }

  #subscribe(): Subscription {
    this.#subscription ??= this.#redis.subscriber.subscribe(
      this.channel,
      (key) => {
        this.#onChange?.(key)
        this.changed(key)
      },
      {
        onGap: () => {
          this.#onGap?.()
          this.#wakeAll()
        },
      },
    )
    return this.#subscription
  }

  #wakeAll(): void {
    for (const set of [...this.#waiting.values()]) for (const done of [...set]) done()
  }
}
