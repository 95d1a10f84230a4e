export { isSessionUnavailable, SessionTooLargeError, SessionUnavailableError } from './errors.js'
export type { SessionEnd, SessionEvent } from './events.js'
export {
  type CookieOptions,
  type RedisSessionMiddleware,
  type RedisSessionOptions,
  type RequestSessions,
  redisSession,
  type SessionState,
  type WhenUnavailable,
} from './middleware.js'
