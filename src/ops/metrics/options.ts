import type { RedisManager } from '../../redis/index.js'
import type { Duration } from '../../shared/duration.js'
import {
  aBoolean,
  aDuration,
  aFunction,
  aManager,
  anInteger,
  anObject,
  either,
  type Rules,
} from '../../shared/options.js'
import type { CountedEvents } from './counted.js'

export interface FleetOptions {
  /** Length of a time bucket. @default '1m' */
  readonly bucket?: Duration | undefined
  /** For how long buckets stay in Redis. @default '1d' */
  readonly keep?: Duration | undefined
  /** How often this process writes what it has. @default '10s' */
  readonly every?: Duration | undefined
}

export interface MetricsOptions {
  readonly redis: RedisManager
  /** Events counted besides those of Holdfast's own features, by type. */
  readonly events?: CountedEvents | undefined
  /** Also adds up operations over all processes, in Redis, by time bucket. @default false */
  readonly fleet?: boolean | FleetOptions | undefined
  /** Different operations kept apart; what comes later is counted as `other`. @default 200 */
  readonly maxOperations?: number | undefined
  /** Different label sets kept apart per counter; what comes later is counted as `other`. @default 100 */
  readonly maxSeries?: number | undefined
  /** Milliseconds since 1970, for tests. @default Date.now */
  readonly now?: (() => number) | undefined
}

export const metricsRules: Rules<MetricsOptions> = {
  redis: aManager,
  events: anObject,
  fleet: either(aBoolean, anObject),
  maxOperations: anInteger(1, 10_000),
  maxSeries: anInteger(1, 10_000),
  now: aFunction,
}

const DAY = 86_400_000
export const fleetRules: Rules<FleetOptions> = {
  bucket: aDuration(1000, DAY),
  keep: aDuration(60_000, 31 * DAY),
  every: aDuration(100, DAY),
}
