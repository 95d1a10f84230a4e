export type { Confidence, Outcome, SecurityEvent, SecurityEventDetails } from './event.js'
export type { SecurityEventsDropped } from './events.js'
export { createSecurityLog, type SecurityLog, type SecurityLogStats } from './log.js'
export {
  type RequestSecurity,
  type SecurityMiddleware,
  type SecurityMiddlewareOptions,
  securityLog,
} from './middleware.js'
export type { SecurityLogOptions } from './options.js'
export type { SecurityPage, SecurityQuery } from './query.js'
export type { PinoLike, SecuritySink, SinkOption } from './sink.js'
export {
  type EventAlias,
  type OwaspEventType,
  type OwnEventType,
  owaspEventTypes,
  type SecurityEventType,
  type SecurityLevel,
} from './vocabulary.js'
