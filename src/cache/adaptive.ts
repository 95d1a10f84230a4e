import type { Job } from './job.js'
import type { Loader } from './loader.js'

interface Popular {
  readonly job: Job
  createdAt: number
  freshUntil: number
  reads: number
}

export interface AdaptiveOptions {
  readonly loader: () => Loader
  readonly minReads: number
  readonly maxKeys: number
  readonly everyMs?: number
  readonly now?: () => number
}

/**
 * Renews what is read often shortly before it ends, so that no reader meets the end. What was read less than
 * `minReads` times since it was stored is left to die.
 */
export class Adaptive {
  readonly #options: AdaptiveOptions
  readonly #popular = new Map<string, Popular>()
  readonly #timer: NodeJS.Timeout
  readonly #everyMs: number

  constructor(options: AdaptiveOptions) {
    this.#options = options
    this.#everyMs = options.everyMs ?? 200
    this.#timer = setInterval(() => this.look(), this.#everyMs)
    this.#timer.unref()
  }

  note(job: Job, { createdAt, freshUntil }: { createdAt: number; freshUntil: number }): void {
    const known = this.#popular.get(job.entryKey)
    if (known === undefined) {
      if (this.#popular.size >= this.#options.maxKeys) return
      this.#popular.set(job.entryKey, { job, createdAt, freshUntil, reads: 1 })
    } else if (known.createdAt === createdAt) known.reads++
    else Object.assign(known, { createdAt, freshUntil, reads: 1 })
  }

  /** Renews what is due; called on a timer. */
  look(): void {
    const now = (this.#options.now ?? Date.now)()
    for (const [key, popular] of this.#popular) {
      const { job, createdAt, freshUntil, reads } = popular
      const window = Math.max((freshUntil - createdAt) * 0.1, 2 * this.#everyMs)
      if (now < freshUntil - window) continue
      if (now < freshUntil && reads >= this.#options.minReads) this.#options.loader().refresh(job, popular)
      else if (now >= freshUntil || reads < this.#options.minReads) this.#popular.delete(key)
    }
  }

  close(): void {
    clearInterval(this.#timer)
    this.#popular.clear()
  }
}
