/** What is written of a response, whatever its framework calls the type. */
export interface ResponseLike {
  statusCode: number
  setHeader(name: string, value: string): unknown
  end(body: string): unknown
}

/**
 * 429 as problem+json (RFC 9457). The same for every reason, account and password: who is refused learns when to come
 * back, not whether the account exists.
 */
export function refuse(res: ResponseLike, retryAfterMs: number): void {
  res.statusCode = 429
  res.setHeader('Retry-After', String(Math.max(1, Math.ceil(retryAfterMs / 1000))))
  res.setHeader('Cache-Control', 'no-store')
  res.setHeader('Content-Type', 'application/problem+json; charset=utf-8')
  res.end(JSON.stringify({ type: 'about:blank', title: 'Too Many Requests', status: 429 }))
}
