import { aBoolean, checkOptions, either, oneOf, type Rule, type Rules } from '../../shared/options.js'
import type { Condition, Level, Threshold, Thresholds } from './alert.js'

export type Measured = Exclude<Condition, 'connection'>

interface Description {
  readonly level: Level
  /** True where small values are bad. */
  readonly below?: boolean
  readonly say: (value: number) => string
}

const percent = (value: number): string => `${Math.round(value * 1000) / 10} %`
const round = (value: number): string => String(Math.round(value * 10) / 10)

/** The defaults, and the sentence for each. */
export const MEASURED: Readonly<Record<Measured, Description>> = {
  latency: { level: { raise: 100, clear: 50 }, say: (ms) => `Redis answers in ${round(ms)} ms` },
  memory: { level: { raise: 0.8, clear: 0.75 }, say: (ratio) => `Redis uses ${percent(ratio)} of its memory limit` },
  hitRatio: {
    level: { raise: 0.8, clear: 0.85 },
    below: true,
    say: (ratio) => `${percent(ratio)} of the keys asked for were found`,
  },
  evictions: { level: { raise: 0, clear: 0 }, say: (rate) => `Redis evicts ${round(rate)} keys a second` },
  rejectedConnections: { level: { raise: 0, clear: 0 }, say: (count) => `Redis rejected ${count} connections` },
  replicationLag: {
    level: { raise: 10_485_760, clear: 1_048_576 },
    say: (bytes) => `a replica is ${round(bytes / 1_048_576)} MiB behind`,
  },
  slowCalls: { level: { raise: 10, clear: 2 }, say: (rate) => `${round(rate)} slow calls a minute` },
  fragmentation: { level: { raise: 1.5, clear: 1.4 }, say: (ratio) => `memory fragmentation is ${round(ratio)}` },
  keyGrowth: { level: { raise: 1, clear: 0.8 }, say: (ratio) => `keys grew by ${percent(ratio)} within an hour` },
}

const finite = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value) && value >= 0
const aLevel: Rule = {
  expected: '{ raise, clear } with two numbers',
  accepts: (value) => finite((value as Partial<Level> | null)?.raise) && finite((value as Partial<Level>).clear),
}
const aThreshold: Rule = either({ expected: 'a number of 0 or more', accepts: finite }, aLevel, oneOf(false))
const rules: Rules<Thresholds> = {
  connection: aBoolean,
  ...(Object.fromEntries(Object.keys(MEASURED).map((name) => [name, aThreshold])) as Record<Measured, Rule>),
}

/** The levels that apply: the user's, else the defaults. A condition that is switched off is left out. */
export function levelsOf(owner: string, given: Thresholds): ReadonlyMap<Measured, Level> {
  checkOptions(owner, given, rules)
  const levels = new Map<Measured, Level>()
  for (const [name, { level, below }] of Object.entries(MEASURED) as [Measured, Description][]) {
    const threshold: Threshold = given[name] ?? level
    if (threshold === false) continue
    levels.set(name, typeof threshold === 'number' ? around(threshold, below) : threshold)
  }
  return levels
}

function around(raise: number, below = false): Level {
  return { raise, clear: below ? Math.min(raise * 1.1, 1) : raise * 0.9 }
}

/** Whether a value begins an alert or, where one stands, lets it last. */
export function isBad(name: Measured, value: number, { raise, clear }: Level, standing: boolean): boolean {
  const edge = standing ? clear : raise
  return MEASURED[name].below === true ? value < edge : value > edge
}
