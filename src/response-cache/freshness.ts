import { type Directives, parseCacheControl, seconds, splitList } from './cache-control.js'
import { httpDate } from './conditional.js'
import { type HeaderList, valuesOf } from './headers.js'

/**
 * Directives for this cache: those of a field that is aimed at it stand in the place of Cache-Control (RFC 9213 §2.2).
 */
export function directivesOf(headers: HeaderList): Directives {
  for (const name of ['cdn-cache-control', 'surrogate-control']) {
    // A parameter names another device (Edge Architecture §2.3); it is not ours to obey.
    const own = splitList(valuesOf(headers, name).join(',')).filter((item) => !item.includes(';'))
    const directives = parseCacheControl(own)
    if (directives.size > 0) return directives
  }
  return parseCacheControl(valuesOf(headers, 'cache-control'))
}

/**
 * When the origin made a response, in ms since the epoch (RFC 9111 §4.2.3). `undefined` where its Age is not one whole
 * number: such a response is stale.
 */
export function birthOf(headers: HeaderList, now: number): number | undefined {
  const ages = valuesOf(headers, 'age')
  if (ages.length > 1 || ages.some((age) => !/^\d+$/.test(age))) return undefined
  const date = dateOf(headers)
  const apparent = date === undefined ? now : Math.min(now, date)
  return Math.min(now - Math.min(Number(ages[0] ?? 0), 2 ** 31) * 1000, apparent + 1000 > now ? now : apparent)
}

/** Milliseconds from birth for which the response says it is fresh (RFC 9111 §4.2.1). */
export function statedLifetime(headers: HeaderList, directives: Directives, now: number): number | undefined {
  const age = seconds(directives, 's-maxage') ?? seconds(directives, 'max-age')
  if (age !== undefined) return age * 1000
  const expires = valuesOf(headers, 'expires')
  if (expires.length === 0) return undefined
  const at = expires.map(httpDate)
  return at.some(Number.isNaN) ? 0 : Math.max(0, Math.min(...at) - (dateOf(headers) ?? now))
}

/** Statuses for which a lifetime may be guessed (RFC 9110 §15.1). */
const GUESSABLE: ReadonlySet<number> = new Set([200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501])
const LONGEST_GUESS_MS = 24 * 60 * 60 * 1000

/** A tenth of the time since the last modification, a day at most (RFC 9111 §4.2.2). */
export function guessedLifetime(
  status: number,
  headers: HeaderList,
  directives: Directives,
  now: number,
): number | undefined {
  if (!GUESSABLE.has(status) && !directives.has('public')) return undefined
  const modified = httpDate(valuesOf(headers, 'last-modified')[0] ?? '')
  if (Number.isNaN(modified)) return undefined
  return Math.min(LONGEST_GUESS_MS, Math.max(0, (dateOf(headers) ?? now) - modified) / 10)
}

function dateOf(headers: HeaderList): number | undefined {
  const date = httpDate(valuesOf(headers, 'date')[0] ?? '')
  return Number.isNaN(date) ? undefined : date
}
