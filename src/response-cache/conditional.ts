type RequestHeaders = Readonly<Record<string, string | string[] | undefined>>

export interface Validators {
  readonly etag: string | undefined
  readonly lastModified: string | undefined
}

/**
 * Whether the client has the representation already (RFC 9110 §13.2.2): If-None-Match decides wherever it is present,
 * by weak comparison; If-Modified-Since only without it.
 */
export function notModified(headers: RequestHeaders, { etag, lastModified }: Validators): boolean {
  const tags = headers['if-none-match']
  if (tags !== undefined) {
    const list = String(tags).trim()
    if (list === '*') return true
    if (etag === undefined) return false
    const opaque = etag.replace(/^W\//, '')
    return (list.match(/(?:W\/)?"[^"]*"/g) ?? []).some((tag) => tag.replace(/^W\//, '') === opaque)
  }
  const since = headers['if-modified-since']
  // Date could stand in for Last-Modified (RFC 9111 §4.3.2), but a resource may change twice in the second it names.
  if (since === undefined || lastModified === undefined) return false
  // Invalid dates compare as false: the full answer is sent.
  return httpDate(lastModified) <= httpDate(String(since))
}

/** Milliseconds since the epoch; NaN for what is not an HTTP date (RFC 9110 §5.6.7). */
export function httpDate(text: string): number {
  return /^[a-z]{3,9}, .* GMT$/i.test(text.trim()) ? Date.parse(text) : Number.NaN
}
