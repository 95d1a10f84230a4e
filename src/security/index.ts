export type { SecurityAlert } from './alerts.js'
export type { ConsumeHandler, ConsumeOptions, Consumer } from './consume.js'
export type { DetectorName } from './detectors/defaults.js'
export type {
  Detector,
  DetectorAction,
  DetectorSettings,
  Finding,
  Measure,
  Reading,
  Signal,
  Subject,
} from './detectors/detector.js'
export type { Geo } from './detectors/users.js'
export type { Confidence, Outcome, SecurityEvent, SecurityEventDetails } from './event.js'
export type { SecurityEventsDropped } from './events.js'
export type { ExportFormat } from './export.js'
export type { DetectorOverride, Revocation } from './guard.js'
export type { IntegrityKey, IntegrityOptions, Seal } from './integrity.js'
export { createSecurityLog } from './log.js'
export type { LoginOptions } from './login/middleware.js'
export {
  type SecurityMiddleware,
  type SecurityMiddlewareOptions,
  securityLog,
} from './middleware.js'
export type { SecurityLogOptions } from './options.js'
export type { SecurityPage, SecurityQuery } from './query.js'
export type { RequestSecurity } from './request-context.js'
export type { Restriction } from './restrictions.js'
export type { SecurityLog, SecurityLogStats } from './security-log.js'
export type { PinoLike, SecuritySink, SinkOption } from './sink.js'
export type { MissingEvents, Verification, VerifyOptions } from './verify.js'
export {
  type EventAlias,
  type OwaspEventType,
  type OwnEventType,
  owaspEventTypes,
  type SecurityEventType,
  type SecurityLevel,
} from './vocabulary.js'
export { signWebhook, type WebhookOptions } from './webhook.js'
