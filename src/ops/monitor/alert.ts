/** What the monitor watches. */
export const CONDITIONS = [
  'connection',
  'latency',
  'memory',
  'hitRatio',
  'evictions',
  'rejectedConnections',
  'replicationLag',
  'slowCalls',
  'fragmentation',
  'keyGrowth',
] as const

export type Condition = (typeof CONDITIONS)[number]

/** One condition that began, or is over. */
export interface MonitorAlert {
  readonly condition: Condition
  /** A sentence for people: numbers, no host names, no keys. */
  readonly message: string
  /** What was measured; `undefined` where Redis did not answer. */
  readonly value: number | undefined
  /** The level that was passed; `undefined` for a lost connection. */
  readonly threshold: number | undefined
  /** When the condition began. */
  readonly since: Date
  /** When it was over; `undefined` while it lasts. */
  readonly clearedAt: Date | undefined
}

/** `raise` begins an alert; it lasts until the value is back at `clear`. */
export interface Level {
  readonly raise: number
  readonly clear: number
}

/** A number raises, and clears a tenth further back; `false` watches nothing. */
export type Threshold = number | Level | false

/** Thresholds by condition. */
export type Thresholds = { readonly [Name in Exclude<Condition, 'connection'>]?: Threshold | undefined } & {
  readonly connection?: boolean | undefined
}
