import type { ServerResponse } from 'node:http'

/** Say the same on every response of an application: what helmet and its like set. */
const STATIC: ReadonlySet<string> = new Set([
  ...['content-security-policy', 'content-security-policy-report-only', 'cross-origin-embedder-policy'],
  ...['cross-origin-opener-policy', 'cross-origin-resource-policy', 'origin-agent-cluster', 'permissions-policy'],
  ...['referrer-policy', 'strict-transport-security', 'x-content-type-options', 'x-dns-prefetch-control'],
  ...['x-download-options', 'x-frame-options', 'x-permitted-cross-domain-policies', 'x-xss-protection'],
  ...['x-powered-by', 'server', 'nel', 'report-to', 'reporting-endpoints', 'x-robots-tag', 'timing-allow-origin'],
])

/** Names and values in turn. */
export type StaticHead = readonly string[]

/**
 * What middlewares have set on a response so far, `but` these names, where it would be the same on the next response;
 * `undefined` where that is not certain.
 */
export function staticHead(res: ServerResponse, but: (name: string) => boolean = () => false): StaticHead | undefined {
  const head: string[] = []
  // Missing from the types of ServerResponse, present since Node 15.
  for (const written of (res as unknown as { getRawHeaderNames(): string[] }).getRawHeaderNames()) {
    const name = written.toLowerCase()
    if (but(name)) continue
    const value = res.getHeader(name)
    if (typeof value !== 'string') return undefined
    if (!isStatic(name, value)) return undefined
    head.push(written, value)
  }
  return head
}

/** Whether scripts of every site may read the response. */
export function admitsAnyOrigin(head: StaticHead): boolean {
  return head.some((each, at) => at % 2 === 0 && each.toLowerCase() === ORIGIN && head[at + 1] === '*')
}

const ORIGIN = 'access-control-allow-origin'

function isStatic(name: string, value: string): boolean {
  if (name === ORIGIN) return value === '*'
  // A nonce is made for one response.
  return STATIC.has(name) && !/'nonce-/i.test(value)
}
