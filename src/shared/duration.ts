const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const

/** Milliseconds, or a number with a unit: `'250ms'`, `'30s'`, `'5m'`, `'1h'`, `'7d'`, `'2w'`. */
export type Duration = number | `${number}${keyof typeof UNITS}`

const PATTERN = /^(\d+(?:\.\d+)?)(ms|s|m|h|d|w)$/

/** The duration in milliseconds, or `undefined` where it is not a finite duration of zero or more. */
export function parseDuration(value: unknown): number | undefined {
  // Whole milliseconds: Redis takes no others.
  if (typeof value === 'number') return Number.isFinite(value) && value >= 0 ? Math.round(value) : undefined
  if (typeof value !== 'string') return undefined
  const match = PATTERN.exec(value)
  if (match === null) return undefined
  const ms = Math.round(Number(match[1]) * UNITS[match[2] as keyof typeof UNITS])
  return Number.isFinite(ms) ? ms : undefined
}

/** Milliseconds of a duration that has been validated already. */
export function toMs(value: Duration): number {
  const ms = parseDuration(value)
  if (ms === undefined) throw new RangeError(`not a duration: ${String(value)}`)
  return ms
}
