import type { ServerResponse } from 'node:http'
import type { RateLimitDecision } from './decision.js'
import { FIELDS, isList, type RateLimitHeaders, retryAfter, valuesOf } from './headers.js'
import { type Refusal, refusalOf } from './refusal.js'

/**
 * Sets the fields of each style. Lists are continued where another limiter has begun them; what describes one policy
 * alone is left to the tighter limiter.
 */
export function setFields(
  res: ServerResponse,
  styles: readonly RateLimitHeaders[],
  decision: RateLimitDecision,
  tightest: boolean,
): void {
  for (const style of styles) {
    const names = FIELDS[style]
    const values = valuesOf(style, decision)
    // A style is set as a whole: where its first field is missing all are. One without lists is the tightest's alone.
    const begun = (style !== 'legacy' || !tightest) && res.hasHeader(names[0] as string)
    for (let index = 0; index < names.length; index++) {
      const name = names[index] as string
      const value = values[index] as string
      const before = begun ? res.getHeader(name) : undefined
      if (before === undefined) res.setHeader(name, value)
      else if (isList(style, name)) res.setHeader(name, `${String(before)}, ${value}`)
      else if (tightest) res.setHeader(name, value)
    }
  }
}

/** Head and body of a refusal that nothing else has to be merged into. */
export interface Prepared {
  readonly status: number
  readonly head: Readonly<Record<string, string | number>>
  readonly body: Buffer
}

export function prepare(decision: RateLimitDecision, styles: readonly RateLimitHeaders[], refusal: Refusal): Prepared {
  const head: Record<string, string | number> = {}
  for (const style of styles) {
    const values = valuesOf(style, decision)
    for (const [index, name] of FIELDS[style].entries()) head[name] = values[index] as string
  }
  head['Retry-After'] = retryAfter(decision.retryAfterMs)
  head['Content-Type'] = refusal.contentType
  head['Content-Length'] = refusal.body.length
  return { status: refusal.status, head, body: refusal.body }
}

/** An object and not a flat list: some middlewares that wrap `writeHead` read a list wrongly. */
export function send(res: ServerResponse, { status, head, body }: Prepared): void {
  res.writeHead(status, head)
  res.end(body)
}

/** Answers 429 or 503 beside what is set on the response already. */
export function refuse(res: ServerResponse, decision: RateLimitDecision, accept: string | undefined): void {
  setRetryAfter(res, decision)
  sendRefusal(res, refusalOf(decision, accept))
}

export function sendRefusal(res: ServerResponse, { status, contentType, body }: Refusal): void {
  res.statusCode = status
  res.setHeader('Content-Type', contentType)
  res.setHeader('Content-Length', body.length)
  res.end(body)
}

export function setRetryAfter(res: ServerResponse, { retryAfterMs }: RateLimitDecision): void {
  res.setHeader('Retry-After', retryAfter(retryAfterMs))
}
