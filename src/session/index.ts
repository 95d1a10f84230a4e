export type { EncryptionKey, EncryptionOptions } from './encryption.js'
export {
  isSessionUnavailable,
  SessionEndedError,
  SessionTooLargeError,
  SessionUnavailableError,
  TooManySessionsError,
} from './errors.js'
export type { SessionEnd, SessionEvent, SessionLoaded } from './events.js'
export type { SessionFallback, TokenClaims } from './fallback.js'
export { type JwtOptions, jwt } from './jwt.js'
export {
  type CookieOptions,
  type RedisSessionMiddleware,
  type RedisSessionOptions,
  redisSession,
} from './middleware.js'
export type { SessionCoreOptions } from './options.js'
export type { WhenUnavailable } from './outage.js'
export type { LoginOptions, RequestSessions, SessionState } from './request-sessions.js'
export { type RequireSession, type RequireSessionOptions, requireSession } from './require-session.js'
export {
  type CreatedSession,
  createSessions,
  type NewSession,
  type Refreshed,
  type Sessions,
  type UserRef,
  type Validation,
} from './sessions.js'
export type { SessionHour, SessionStatistics } from './statistics.js'
export type { ListedSession } from './users.js'
