import type { Condition, MonitorAlert } from './alert.js'

/** What changed: an alert that began, or the same one when it is over. */
export type Notice = { readonly type: 'raised' | 'cleared'; readonly alert: MonitorAlert }

export interface Observed {
  readonly condition: Condition
  readonly bad: boolean
  readonly message: string
  readonly value: number | undefined
  readonly threshold: number | undefined
  /** Begins at once, where the evidence needs no second look. */
  readonly certain?: boolean
}

/**
 * Which alerts stand. A condition must be seen `samples` times in a row to begin, and as often not seen to be over: what
 * flickers makes one alert.
 */
export class AlertBook {
  readonly #samples: number
  readonly #standing = new Map<Condition, MonitorAlert>()
  readonly #streaks = new Map<Condition, number>()

  constructor(samples: number) {
    this.#samples = samples
  }

  get standing(): readonly MonitorAlert[] {
    return [...this.#standing.values()]
  }

  stands(condition: Condition): boolean {
    return this.#standing.has(condition)
  }

  observe({ condition, bad, certain = false, ...measured }: Observed, now: Date): Notice | undefined {
    const alert = this.#standing.get(condition)
    if (bad === (alert !== undefined)) {
      this.#streaks.delete(condition)
      return undefined
    }
    const streak = (this.#streaks.get(condition) ?? 0) + 1
    if (streak < this.#samples && !certain) {
      this.#streaks.set(condition, streak)
      return undefined
    }
    this.#streaks.delete(condition)
    if (alert !== undefined) {
      this.#standing.delete(condition)
      return { type: 'cleared', alert: { ...alert, clearedAt: now } }
    }
    const raised = { condition, ...measured, since: now, clearedAt: undefined }
    this.#standing.set(condition, raised)
    return { type: 'raised', alert: raised }
  }

  /** Takes over what another process had raised. */
  replace(alerts: readonly MonitorAlert[]): void {
    this.#standing.clear()
    this.#streaks.clear()
    for (const alert of alerts) this.#standing.set(alert.condition, alert)
  }
}
