import type { RedisManager } from '../redis/index.js'
import type { Duration } from '../shared/duration.js'
import { aDuration, aFunction, aManager, anInteger, oneOf, type Rule, type Rules } from '../shared/options.js'
import { LeaderboardValueError } from './errors.js'
import { type LeaderboardPeriod, periodNamer } from './period.js'

export interface LeaderboardOptions {
  readonly redis: RedisManager
  /** Which score is best. @default 'highest' */
  readonly order?: 'highest' | 'lowest' | undefined
  /** Who comes first of equal scores: who reached it first, or by name (bytes), which takes half the memory. @default 'first' */
  readonly ties?: 'first' | 'name' | undefined
  /** A fresh board for each day, week (from Monday) or month. @default none: one board for ever */
  readonly period?: LeaderboardPeriod | undefined
  /** IANA name of the time zone by whose calendar periods begin. @default 'UTC' */
  readonly timeZone?: string | undefined
  /** How long a board can be read after its period. @default '30d' */
  readonly retention?: Duration | undefined
  /** Most members kept; the worst go. @default all */
  readonly maxSize?: number | undefined
  /** The clock, in ms; for tests. @default Date.now */
  readonly now?: (() => number) | undefined
}

/** Longest name of a member, in bytes. */
const MAX_MEMBER = 512

const aTimeZone: Rule = {
  expected: "an IANA time zone such as 'Europe/Berlin'",
  accepts: (value) => {
    try {
      return typeof value === 'string' && periodNamer('daily', value) !== undefined
    } catch {
      return false
    }
  },
}

export const boardRules: Rules<LeaderboardOptions> = {
  redis: aManager,
  order: oneOf('highest', 'lowest'),
  ties: oneOf('first', 'name'),
  period: oneOf('daily', 'weekly', 'monthly'),
  timeZone: aTimeZone,
  retention: aDuration(0, 10 * 365 * 86_400_000),
  maxSize: anInteger(1),
  now: aFunction,
}

export function aMember(value: unknown): string {
  const text = typeof value === 'number' && Number.isFinite(value) ? String(value) : value
  // A lone surrogate becomes U+FFFD on its way to Redis: two members would be one.
  if (typeof text !== 'string' || text === '' || !text.isWellFormed() || Buffer.byteLength(text) > MAX_MEMBER) {
    throw new LeaderboardValueError('member', `must be a well-formed text of 1 to ${MAX_MEMBER} bytes, or a number`)
  }
  return text
}

export function aScore(value: unknown, name = 'score'): number {
  if (typeof value !== 'number' || !Number.isFinite(value))
    throw new LeaderboardValueError(name, 'must be a finite number')
  return value
}

export function aCount(name: string, value: unknown, min: number, max: number): number {
  if (!Number.isInteger(value) || Number(value) < min || Number(value) > max) {
    throw new LeaderboardValueError(name, `must be an integer from ${min} to ${max}`)
  }
  return Number(value)
}

export function aTime(value: unknown): number {
  const time = value instanceof Date ? value.getTime() : value
  if (typeof time !== 'number' || Number.isNaN(new Date(time).getTime())) {
    throw new LeaderboardValueError('at', 'must be a Date or milliseconds')
  }
  return time
}
