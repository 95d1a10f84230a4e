import type { RateLimitDecision } from './decision.js'

/** Status, head and body of a refusal, made once and sent as often as needed. */
export interface Refusal {
  readonly status: number
  readonly contentType: string
  readonly body: Buffer
}

interface Problem {
  readonly status: number
  readonly type: string
  readonly title: string
}

// Problem types of draft-ietf-httpapi-ratelimit-headers-11 §5
const REGISTRY = 'https://iana.org/assignments/http-problem-types#'
const EXCEEDED: Problem = { status: 429, type: `${REGISTRY}quota-exceeded`, title: 'Too many requests' }
const ABNORMAL: Problem = {
  status: 429,
  type: `${REGISTRY}abnormal-usage-detected`,
  title: 'Too many requests: blocked for a while',
}
const REDUCED: Problem = {
  status: 503,
  type: `${REGISTRY}temporary-reduced-capacity`,
  title: 'Requests cannot be counted at the moment',
}
const FORBIDDEN: Problem = { status: 403, type: 'about:blank', title: 'Forbidden' }

/** What to answer; `accept` is the request's header. */
export function refusalOf(decision: RateLimitDecision, accept: string | undefined): Refusal {
  const problem = decision.blocked ? ABNORMAL : decision.source === 'none' ? REDUCED : EXCEEDED
  const violated =
    problem === REDUCED
      ? undefined
      : decision.policies.filter(({ retryAfterMs }) => retryAfterMs > 0).map(({ name }) => name)
  return write(problem, violated, accept)
}

/** For who is on the deny list: 403, since waiting does not help. */
export function forbidden(accept: string | undefined): Refusal {
  return write(FORBIDDEN, undefined, accept)
}

function write(problem: Problem, violated: readonly string[] | undefined, accept: string | undefined): Refusal {
  const { status, type, title } = problem
  if (prefersText(accept)) {
    return { status, contentType: 'text/plain; charset=utf-8', body: Buffer.from(`${title}\n`) }
  }
  const body = JSON.stringify({ type, title, status, ...(violated?.length ? { 'violated-policies': violated } : {}) })
  return { status, contentType: 'application/problem+json', body: Buffer.from(body) }
}

const JSON_TYPES = ['application/problem+json', 'application/json', 'application/*', '*/*']
const TEXT_TYPES = ['text/plain', 'text/html', 'text/*', '*/*']

/** True for a client that asks for text and would rather not have JSON (RFC 9110 §12.5.1). */
export function prefersText(accept: string | undefined): boolean {
  if (accept === undefined || !accept.includes('text/')) return false
  const weights = new Map<string, number>()
  for (const range of accept.slice(0, 1000).split(',')) {
    const [type = '', ...parameters] = range.toLowerCase().split(';')
    const q = parameters.map((each) => each.trim()).find((each) => each.startsWith('q='))
    const weight = q === undefined ? 1 : Number(q.slice(2))
    weights.set(type.trim(), Number.isFinite(weight) ? weight : 0)
  }
  const best = (types: readonly string[]): number => {
    const named = types.slice(0, 2).map((type) => weights.get(type) ?? -1)
    return Math.max(...named) >= 0 ? Math.max(...named) : (weights.get(types[2] ?? '') ?? weights.get('*/*') ?? 0)
  }
  return best(TEXT_TYPES) > best(JSON_TYPES)
}
