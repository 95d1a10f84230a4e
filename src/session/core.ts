import { type Duration, toMs } from '../shared/duration.js'
import { plainCodec } from './codec.js'
import { encryptingCodec } from './encryption.js'
import type { SessionEnd } from './events.js'
import { createFallback, type Degraded } from './fallback.js'
import { SessionFields } from './fields.js'
import { mintId } from './id.js'
import { adoptLegacy } from './legacy.js'
import type { SessionCoreOptions } from './options.js'
import type { Found } from './record.js'
import { SessionRepository } from './repository.js'
import { Statistics } from './statistics.js'
import { UserSessions } from './users.js'

/** What middleware and service share: options resolved, in milliseconds, and the parts they are made of. */
export interface SessionCore {
  readonly repository: SessionRepository
  readonly users: UserSessions
  readonly fields: SessionFields
  readonly statistics: Statistics
  readonly idle: number
  readonly absolute: number
  readonly touchAfter: number
  readonly maxBytes: number
  /** Whether reading a session may take it over from elsewhere. */
  readonly migrates: boolean
  /** An id for a session of this user, or of nobody yet. */
  mint(userId?: string): string
  find(id: string, touchAfter?: number): Promise<Found>
  remove(id: string, reason: SessionEnd, orLater?: boolean): Promise<boolean>
  /** What an access token proves while Redis is away. */
  judge(token: string): Promise<Degraded | undefined>
  close(): void
}

const MINUTE = 60_000
/** How long a request may take that read a session which was not taken over yet. */
const LINGER = MINUTE

export function createCore(options: SessionCoreOptions, maxAge?: number): SessionCore {
  const {
    redis,
    ttl = (maxAge ?? 30 * MINUTE) as Duration,
    absoluteTtl,
    touchAfter,
    maxBytes = 65_536,
    encryption,
    maxPerUser = 0,
    onExcess = 'oldest',
    tagKey,
    migrateFrom,
    fallback,
    fallbackFor = '15m',
  } = options
  const idle = toMs(ttl)
  const absolute = absoluteTtl === undefined ? Math.max(480 * MINUTE, idle, maxAge ?? 0) : toMs(absoluteTtl)
  const codec = encryption === undefined ? plainCodec : encryptingCodec(encryption)
  const statistics = new Statistics(redis)
  const linger = migrateFrom === undefined ? 0 : LINGER
  const repository = new SessionRepository({ redis, codec, statistics, absolute, maxPerUser, onExcess, linger })
  const users = new UserSessions(redis, codec, repository, { absolute, tagKey })
  const degraded = createFallback(redis, repository.outbox, users, fallback, toMs(fallbackFor))
  const unregister = redis.register({
    feature: 'session',
    status: () => ({ status: 'pass', values: { waitingWrites: repository.outbox.waiting } }),
  })
  return {
    repository,
    users,
    fields: new SessionFields(redis, codec, repository),
    statistics,
    idle,
    absolute,
    touchAfter: touchAfter === undefined ? Math.min(MINUTE, idle / 10) : toMs(touchAfter),
    maxBytes,
    migrates: migrateFrom !== undefined,
    mint: (userId) => mintId(userId === undefined ? undefined : users.tagOf(userId)),
    find(id, after) {
      const asked = repository.find(id, after)
      return migrateFrom === undefined && !redis.listens('session.loaded') ? asked : adopted(id, asked)
    },
    async remove(id, reason, orLater) {
      if (migrateFrom !== undefined) {
        await redis.attempt(
          'session.adopt',
          (client) => client.unlink(migrateFrom + id),
          () => 0,
        )
      }
      return repository.remove(id, reason, orLater)
    },
    judge: degraded.judge,
    close() {
      unregister()
      degraded.close()
      statistics.close()
      repository.outbox.close()
    },
  }
  async function adopted(id: string, asked: Promise<Found>): Promise<Found> {
    let found = await asked
    if (found.status === 'missing' && migrateFrom !== undefined) {
      found = await adoptLegacy(redis, repository, { prefix: migrateFrom, id, idle, absolute })
    }
    if (redis.listens('session.loaded')) redis.emit('session.loaded', { outcome: found.status })
    return found
  }
}
