import { toMs } from '../shared/duration.js'
import { plainCodec } from './codec.js'
import { mintId } from './id.js'
import type { SessionCoreOptions } from './options.js'
import { SessionRepository } from './repository.js'

/** What middleware and service share: options resolved, in milliseconds. */
export interface SessionCore {
  readonly repository: SessionRepository
  readonly idle: number
  readonly absolute: number
  readonly touchAfter: number
  readonly maxBytes: number
  mint(): string
}

const MINUTE = 60_000

export function createCore(options: SessionCoreOptions, maxAge?: number): SessionCore {
  const { redis, ttl = maxAge ?? 30 * MINUTE, absoluteTtl, touchAfter, maxBytes = 65_536 } = options
  const idle = toMs(ttl)
  return {
    repository: new SessionRepository(redis, plainCodec),
    idle,
    absolute: absoluteTtl === undefined ? Math.max(480 * MINUTE, idle, maxAge ?? 0) : toMs(absoluteTtl),
    touchAfter: touchAfter === undefined ? Math.min(MINUTE, idle / 10) : toMs(touchAfter),
    maxBytes,
    mint: mintId,
  }
}
