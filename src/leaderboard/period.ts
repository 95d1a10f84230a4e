export type LeaderboardPeriod = 'daily' | 'weekly' | 'monthly'

const HOUR = 3_600_000
const DAY = 24 * HOUR

/** The longest a period can be: the clocks are set back by an hour in it. */
export const LONGEST: Readonly<Record<LeaderboardPeriod, number>> = {
  daily: DAY + HOUR,
  weekly: 7 * DAY + HOUR,
  monthly: 31 * DAY + HOUR,
}

/**
 * Names the period that holds a time (ms) by the calendar of a time zone: `2026-11-21`, `2026-W47` (ISO 8601, from
 * Monday), `2026-11`. Throws a RangeError for a time zone that the platform does not know.
 */
export function periodNamer(period: LeaderboardPeriod, timeZone: string): (at: number) => string {
  const calendar = new Intl.DateTimeFormat('en-US-u-ca-gregory-nu-latn', {
    timeZone,
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
  })
  return (at) => {
    const parts = new Map(calendar.formatToParts(at).map(({ type, value }) => [type, value]))
    const [year = '', month = '', day = ''] = [parts.get('year'), parts.get('month'), parts.get('day')]
    if (period === 'monthly') return `${year}-${month}`
    if (period === 'daily') return `${year}-${month}-${day}`
    return isoWeek(Number(year), Number(month), Number(day))
  }
}

/** A week belongs to the year of its Thursday. */
function isoWeek(year: number, month: number, day: number): string {
  const date = Date.UTC(year, month - 1, day)
  const sinceMonday = (new Date(date).getUTCDay() + 6) % 7
  const thursday = date + (3 - sinceMonday) * DAY
  const weekYear = new Date(thursday).getUTCFullYear()
  const week = Math.floor((thursday - Date.UTC(weekYear, 0, 1)) / (7 * DAY)) + 1
  return `${weekYear}-W${String(week).padStart(2, '0')}`
}
