import type { OutgoingHttpHeader } from 'node:http'
import { type CacheStatus, formatCacheStatus } from './cache-status.js'
import type { Outgoing } from './outgoing.js'

/** Which headers say how a request went; each is on unless it is `false`. */
export interface MarkOptions {
  /** `X-Cache: HIT|MISS|STALE|REVALIDATED|BYPASS` */
  readonly xCache?: boolean | undefined
  /** Seconds since a stored response was made (RFC 9111 §5.1). */
  readonly age?: boolean | undefined
  /** `Cache-Status` (RFC 9211), with the reason. */
  readonly cacheStatus?: boolean | undefined
}

export type Mark = (
  res: Outgoing,
  state: 'HIT' | 'MISS' | 'STALE' | 'REVALIDATED' | 'BYPASS',
  status: CacheStatus,
) => void

export function marker({ xCache = true, cacheStatus = true }: MarkOptions): Mark {
  // What caches behind this one have said stands before it, once, however often this one changes its mind. Not in a
  // WeakMap, which the garbage collector looks through each time.
  const said = Symbol('holdfast said')
  return (res, state, status) => {
    if (xCache) res.setHeader('X-Cache', state)
    if (!cacheStatus) return
    const remembering = res as Outgoing & { [said]?: readonly string[] }
    const before = remembering[said] ?? listOf(res.getHeader('cache-status'))
    // A hit is the last word.
    if (status.hit !== true) remembering[said] = before
    const own = formatCacheStatus(status)
    res.setHeader('Cache-Status', before.length === 0 ? own : [...before, own].join(', '))
  }
}

const NOTHING: readonly string[] = []

function listOf(value: OutgoingHttpHeader | undefined): readonly string[] {
  return value === undefined ? NOTHING : [value].flat().map(String)
}
