import type { RedisManager } from '../../redis/index.js'
import type { Duration } from '../../shared/duration.js'
import {
  aDuration,
  aFunction,
  aManager,
  anInteger,
  anObject,
  aString,
  oneOf,
  type Rules,
} from '../../shared/options.js'
import type { MonitorAlert, Thresholds } from './alert.js'

export interface MonitorOptions {
  readonly redis: RedisManager
  /** How often Redis is looked at. @default '10s' */
  readonly every?: Duration | undefined
  /** Levels by condition; see the table of defaults. */
  readonly thresholds?: Thresholds | undefined
  /** How many looks in a row must agree before an alert begins, and before it is over. @default 2 */
  readonly samples?: number | undefined
  /** `process`: each process watches and tells. `fleet`: one of them does, by a lease in Redis. @default 'process' */
  readonly scope?: 'process' | 'fleet' | undefined
  /** Tells several monitors of one fleet apart. @default 'default' */
  readonly name?: string | undefined
  /** A condition has begun. Called once until it is over. */
  readonly onAlert?: ((alert: MonitorAlert) => unknown) | undefined
  /** The condition of an alert is over. */
  readonly onRecovery?: ((alert: MonitorAlert) => unknown) | undefined
}

export const monitorRules: Rules<MonitorOptions> = {
  redis: aManager,
  every: aDuration(100),
  thresholds: anObject,
  samples: anInteger(1, 1000),
  scope: oneOf('process', 'fleet'),
  name: aString,
  onAlert: aFunction,
  onRecovery: aFunction,
}
