import type { Unsubscribe } from '../shared/emitter.js'

/** How a feature is doing: `warn` still serves, `fail` does not. */
export type StatusLevel = 'pass' | 'warn' | 'fail'

/** What a feature knows about itself now. */
export interface FeatureStatus {
  readonly status: StatusLevel
  /**
   * Measurements by name. A name ends in its unit where it has one (`bufferedBytes`, `oldestMs`, `hitRatio`); all
   * callers of a health route see them, so they hold no keys, users or host names.
   */
  readonly values: Readonly<Record<string, number | string | boolean | undefined>>
  /** For operators only. */
  readonly problem?: string | undefined
}

/** One instance of a feature that health reports and metrics ask. */
export interface StatusSource {
  /** The name of the feature, as in its keys: `cache`, `rate-limit`. */
  readonly feature: string
  /** Tells several instances apart; chosen by the programmer, never from a request. */
  readonly name?: string | undefined
  /** From memory: never asks Redis, so that it answers best when Redis is at its worst. */
  status(): FeatureStatus
}

export interface StatusRegistry {
  register(source: StatusSource): Unsubscribe
  sources(): readonly StatusSource[]
}

export function createStatusRegistry(): StatusRegistry {
  const registered = new Set<StatusSource>()
  return {
    register(source) {
      registered.add(source)
      return () => {
        registered.delete(source)
      }
    },
    sources: () => [...registered],
  }
}
