import type { ServerResponse } from 'node:http'

const PROBLEMS = {
  'session-unavailable': { status: 503, title: 'Sessions are unavailable for the moment' },
  'login-required': { status: 401, title: 'Log in first' },
  'login-too-old': { status: 403, title: 'Log in again for this' },
} as const

/** Answers with a problem document (RFC 9457). An outage is 503: a 401 would make clients throw their log-in away. */
export function refuse(response: ServerResponse, problem: keyof typeof PROBLEMS): void {
  const { status, title } = PROBLEMS[problem]
  response.statusCode = status
  if (status === 503) response.setHeader('Retry-After', '1')
  response.setHeader('Content-Type', 'application/problem+json; charset=utf-8')
  response.setHeader('Cache-Control', 'no-store')
  response.end(JSON.stringify({ type: `about:blank#${problem}`, title, status }))
}
