/** Why a request went to the handler (RFC 9211 §2.2). */
export type Forward = 'bypass' | 'method' | 'uri-miss' | 'vary-miss' | 'stale' | 'request'

export interface CacheStatus {
  readonly hit?: boolean
  readonly fwd?: Forward
  readonly fwdStatus?: number
  /** Seconds that the response is fresh yet; negative for a stale one. */
  readonly ttl?: number
  readonly stored?: boolean
  readonly collapsed?: boolean
  /** A token: no text of the request ever gets here. */
  readonly detail?: string | undefined
}

/** One member of a Cache-Status field (RFC 9211 §2). */
export function formatCacheStatus({ hit, fwd, fwdStatus, ttl, stored, collapsed, detail }: CacheStatus): string {
  let text = 'holdfast'
  if (hit) text += '; hit'
  if (fwd !== undefined) text += `; fwd=${fwd}`
  if (fwdStatus !== undefined) text += `; fwd-status=${fwdStatus}`
  if (ttl !== undefined) text += `; ttl=${Math.floor(ttl)}`
  if (stored) text += '; stored'
  if (collapsed) text += '; collapsed'
  return detail === undefined ? text : `${text}; detail=${detail}`
}
