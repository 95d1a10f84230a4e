import type { RedisManager } from '../redis/index.js'
import type { Unsubscribe } from '../shared/emitter.js'
import type { Bus } from './bus.js'
import type { LocalTier } from './tier.js'

/** How the copies in this process learn of changes. `off`: there are none now. */
export type LocalMode = 'tracking' | 'pubsub' | 'off'

export interface CoherenceOptions {
  readonly redis: RedisManager
  readonly feature: string
  readonly bus: Bus
  readonly tier: Pick<LocalTier<unknown>, 'open' | 'clear' | 'changed'>
  /** `tracking` falls back to `pubsub` where the server refuses it. */
  readonly want: 'tracking' | 'pubsub'
}

/** Keeps a tier in step with Redis: open only while every change is heard. */
export class Coherence {
  mode: LocalMode = 'off'
  readonly #options: CoherenceOptions
  readonly #stop: Unsubscribe
  #closed = false

  constructor(options: CoherenceOptions) {
    this.#options = options
    const { redis, feature, tier, bus, want } = options
    if (want === 'pubsub') {
      this.#stop = () => {}
      void this.#followBus()
      return
    }
    this.#stop = redis.tracking.watch(feature, {
      changed: (key) => {
        if (this.mode === 'tracking') tier.changed(key)
        bus.changed(key)
      },
      reset: () => this.#onTracking(),
    })
    this.#onTracking()
  }

  close(): void {
    this.#closed = true
    this.#stop()
    this.#enter('off')
  }

  #onTracking(): void {
    if (this.#closed) return
    const { redis } = this.#options
    const { state } = redis.tracking
    if (state === 'unsupported') {
      redis.warn('HOLDFAST_TRACKING_REFUSED', 'Redis refuses CLIENT TRACKING; local copies follow pub/sub instead')
      void this.#followBus()
    } else if (state !== 'arming' || this.mode !== 'pubsub') this.#enter(state === 'armed' ? 'tracking' : 'off')
  }

  async #followBus(): Promise<void> {
    const { bus, tier, redis } = this.#options
    for (;;) {
      const confirmed = await bus.follow(
        (key) => tier.changed(key),
        () => tier.clear(),
      )
      if (this.#closed || redis.state === 'closed' || (this.#options.want === 'tracking' && this.mode === 'tracking'))
        return
      if (confirmed) return this.#enter('pubsub')
    }
  }

  #enter(mode: LocalMode): void {
    const { tier, bus } = this.#options
    tier.clear()
    tier.open = mode !== 'off'
    if (this.mode === 'pubsub' && mode !== 'pubsub') bus.unfollow()
    this.mode = mode
  }
}
