import { randomBytes } from 'node:crypto'
import type { RedisManager } from '../redis/index.js'
import { type Duration, toMs } from '../shared/duration.js'
import { checkOptions, requireOptions } from '../shared/options.js'
import { createCore, type SessionCore } from './core.js'
import { describeDevice } from './device.js'
import { hashOfToken, openWith, sealFor } from './envelope.js'
import { isSessionUnavailable, SessionUnavailableError } from './errors.js'
import { handleOf } from './id.js'
import { coreRules, type SessionCoreOptions } from './options.js'
import type { Found, SessionRecord } from './record.js'
import { checkSize } from './size.js'
import type { SessionStatistics } from './statistics.js'
import { refresh } from './user-scripts.js'
import type { ListedSession } from './users.js'

/** A user, or their id. */
export type UserRef = string | number | { readonly id: string | number }

export interface NewSession {
  readonly user: UserRef
  /** Kept as a hash, so that `validate` knows it. */
  readonly accessToken?: string | undefined
  /** Kept as a hash, so that `refresh` knows it. */
  readonly refreshToken?: string | undefined
  readonly userAgent?: string | undefined
  /** Network address of the client. */
  readonly ip?: string | undefined
  readonly data?: Readonly<Record<string, unknown>> | undefined
}

export interface CreatedSession {
  /** The secret: whoever has it has the session. */
  readonly id: string
  /** Names the session in lists; opens nothing. */
  readonly handle: string
  readonly userId: string
}

export type Validation =
  | { readonly valid: true; readonly userId: string | undefined; readonly degraded: boolean }
  | {
      readonly valid: false
      readonly userId?: undefined
      /** `unavailable`: nobody can tell. Answer 503, not 401. */
      readonly reason: 'missing' | 'revoked' | 'expired' | 'corrupt' | 'unavailable'
      readonly degraded: boolean
    }

export type Refreshed =
  | { readonly status: 'rotated'; readonly refreshToken: string }
  /** `reuse`: shown again after its time; the session is ended, since a thief may hold one of the two. */
  | { readonly status: 'reuse' | 'unknown' | 'ended' }

/** Sessions without HTTP: their life, their lists, their tokens. Methods reject while Redis is away, where not said otherwise. */
export interface Sessions {
  create(session: NewSession): Promise<CreatedSession>
  create(
    user: UserRef,
    accessToken?: string,
    refreshToken?: string,
    userAgent?: string,
    ip?: string,
  ): Promise<CreatedSession>
  /** Of an id, or of an access token given to `create`. Never rejects because of Redis. */
  validate(idOrToken: string, options?: { readonly requireFresh?: boolean }): Promise<Validation>
  get(id: string): Promise<Readonly<Record<string, unknown>> | undefined>
  /** Sets some keys of the data, leaving what others set meanwhile; a key of value `undefined` goes. */
  set(id: string, changes: Readonly<Record<string, unknown>>): Promise<boolean>
  /** Lets it live for `ttl` from now, never past its absolute end. Gives the new end. */
  extend(id: string, ttl: Duration): Promise<Date | undefined>
  /** While Redis is away the end is kept and told first on its return. */
  destroy(id: string): Promise<boolean>
  /** Exchanges a refresh token. Shown again within 30 s it gives the same successor. */
  refresh(id: string, refreshToken: string): Promise<Refreshed>
  list(user: UserRef, options?: { readonly current?: string | undefined }): Promise<ListedSession[]>
  /** By handle or id. While Redis is away the end is kept and told first on its return. */
  revoke(user: UserRef, handleOrId: string): Promise<boolean>
  /** Every session of the user but this one. */
  revokeOthers(user: UserRef, currentId: string): Promise<number>
  /** Effective for the next request anywhere. While Redis is away, here at once and elsewhere on its return. */
  revokeAll(user: UserRef): Promise<number>
  /** Gives the value to the first who asks, and removes it. */
  take(id: string, field: string): Promise<unknown>
  /** True where nothing was set before. */
  setOnce(id: string, field: string, value: unknown): Promise<boolean>
  increment(id: string, field: string, by?: number): Promise<number>
  stats(options?: { readonly hours?: number }): Promise<SessionStatistics>
  /** Seals every session with the newest key. Gives how many needed it. */
  rekey(): Promise<number>
  close(): void
}

const GRACE = 30_000

/**
 * The registry of sessions, the same that {@link redisSession} offers as `.sessions`; for workers, for administration,
 * and for services that know tokens and no cookies. Give it the options of the middleware.
 *
 * @example
 * ```ts
 * import { createRedisManager } from 'holdfast'
 * import { createSessions } from 'holdfast/session'
 *
 * const sessions = createSessions({ redis: createRedisManager(), maxPerUser: 5 })
 * export const logOutEverywhere = (userId: string): Promise<number> => sessions.revokeAll(userId)
 * ```
 */
export function createSessions(options: SessionCoreOptions): Sessions {
  checkOptions('createSessions', options, coreRules)
  requireOptions('createSessions', options, coreRules, 'redis')
  return sessionsOn(options.redis, createCore(options))
}

export function idOfUser(user: UserRef): string {
  const id = typeof user === 'object' && user !== null ? user.id : user
  if ((typeof id !== 'string' && typeof id !== 'number') || id === '') {
    throw new TypeError('a user is an id (a string or a number) or an object with one')
  }
  return String(id)
}

export function sessionsOn(redis: RedisManager, core: SessionCore): Sessions {
  const { repository, users, fields, statistics, idle, absolute, maxBytes } = core
  const keyOfToken = (token: string): string => redis.keys.key('session-token', hashOfToken(token))

  async function create(session: NewSession): Promise<CreatedSession> {
    const { accessToken, refreshToken, userAgent, ip, data = {} } = session
    const userId = idOfUser(session.user)
    const id = core.mint(userId)
    const { tag, hash } = repository.addressOf(id)
    const handle = handleOf(tag, hash)
    const json = JSON.stringify({ ...data, cookie: data.cookie ?? {} })
    checkSize(json, data, maxBytes)
    const facts = { userId, device: describeDevice(userAgent), address: ip, authenticatedAt: Date.now() }
    const refreshTokenHash = refreshToken === undefined ? undefined : hashOfToken(refreshToken)
    await repository.create(id, { json, idle, absolute, facts, refreshTokenHash })
    if (accessToken !== undefined) {
      const key = keyOfToken(accessToken)
      await redis.execute('session.create', (client) => client.set(key, handle, 'PX', absolute))
    }
    return { id, handle, userId }
  }

  async function resolve(idOrToken: string): Promise<string | undefined> {
    if (/^[A-Za-z0-9_-]{16}\.[A-Za-z0-9_-]{43}$/.test(idOrToken)) return idOrToken
    if (idOrToken.length > 8192) return undefined
    const handle = await redis.attempt<string | null | undefined>(
      'session.token',
      (client) => client.get(keyOfToken(idOrToken)),
      () => undefined,
    )
    return handle === undefined ? 'unavailable' : (handle ?? undefined)
  }

  async function degraded(token: string, requireFresh: boolean): Promise<Validation> {
    const judged = requireFresh ? undefined : await core.judge(token)
    if (judged !== undefined) return { valid: true, userId: judged.userId, degraded: true }
    return { valid: false, reason: 'unavailable', degraded: true }
  }

  /** A token leads to the session by the name it began with. */
  async function findByFirstName(handle: string): Promise<Found> {
    try {
      const current = await users.current(handle)
      return current === undefined ? { status: 'missing' } : await core.find(current, core.touchAfter)
    } catch (error) {
      if (!isSessionUnavailable(error)) throw error
      return { status: 'unavailable', reason: 'outage' }
    }
  }

  return {
    create: ((first: NewSession | UserRef, ...[accessToken, refreshToken, userAgent, ip]: (string | undefined)[]) =>
      typeof first === 'object' && 'user' in first
        ? create(first)
        : create({ user: first, accessToken, refreshToken, userAgent, ip })) as Sessions['create'],
    async validate(idOrToken, { requireFresh = false } = {}) {
      const id = await resolve(idOrToken)
      if (id === undefined) return { valid: false, reason: 'missing', degraded: false }
      if (id === 'unavailable') return degraded(idOrToken, requireFresh)
      let found = await core.find(id, core.touchAfter)
      if (found.status === 'missing' && id.startsWith('#')) found = await findByFirstName(id)
      if (found.status === 'found') return { valid: true, userId: found.record.facts.userId, degraded: false }
      if (found.status === 'unavailable') return degraded(idOrToken, requireFresh)
      return { valid: false, reason: found.status, degraded: false }
    },
    async get(id) {
      const record = await read(id)
      if (record === undefined) return undefined
      const { cookie: _, ...data } = record.data
      return data
    },
    async set(id, changes) {
      const record = await read(id)
      if (record === undefined) return false
      const json = JSON.stringify({ ...record.data, ...changes, cookie: record.data.cookie ?? {} })
      checkSize(json, changes, maxBytes)
      const saved = await repository.save(record.id, { base: record, json, idle: record.idle })
      return saved.status === 'saved'
    },
    async extend(id, ttl) {
      const expiresAt = await repository.touch(id, toMs(ttl))
      return expiresAt === undefined ? undefined : new Date(expiresAt)
    },
    destroy: (id) => core.remove(id, 'logout'),
    async refresh(id, refreshToken) {
      const { record, generation, index, hash } = repository.addressOf(id)
      const successor = randomBytes(32).toString('base64url')
      const [status, sealed] = await redis.execute('session.refresh', (client) =>
        refresh.run(
          client,
          [record, generation, index],
          [hash, hashOfToken(refreshToken), hashOfToken(successor), sealFor(refreshToken, successor), GRACE],
        ),
      )
      switch (status.toString()) {
        case 'rotated':
          return { status: 'rotated', refreshToken: successor }
        case 'again': {
          const same = sealed === undefined ? undefined : openWith(refreshToken, sealed.toString())
          return same === undefined ? { status: 'unknown' } : { status: 'rotated', refreshToken: same }
        }
        case 'reuse':
          repository.ended(hash, 'reuse', sealed && users.factsOf(sealed, repository.addressOf(id))?.userId)
          return { status: 'reuse' }
        case 'unknown':
          return { status: 'unknown' }
        default:
          return { status: 'ended' }
      }
    },
    list: (user, { current } = {}) => users.list(idOfUser(user), current),
    revoke: (user, handleOrId) => users.revoke(idOfUser(user), handleOrId),
    revokeOthers: (user, currentId) => users.revokeAll(idOfUser(user), currentId),
    revokeAll: (user) => users.revokeAll(idOfUser(user)),
    take: (id, field) => fields.take(id, field),
    setOnce: (id, field, value) => fields.setOnce(id, field, value),
    increment: (id, field, by = 1) => fields.increment(id, field, by),
    stats: ({ hours = 24 } = {}) => statistics.read(hours),
    async rekey() {
      let resealed = 0
      for await (const handles of repository.handles()) {
        for (const handle of handles) if (await repository.rekey(repository.addressOf(handle))) resealed++
      }
      return resealed
    },
    close: () => core.close(),
  }

  async function read(id: string): Promise<SessionRecord | undefined> {
    const found = await core.find(id)
    if (found.status === 'unavailable') throw new SessionUnavailableError('outage', found.reason)
    return found.status === 'found' ? found.record : undefined
  }
}
