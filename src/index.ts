// Redis: the shared manager
export {
  type CallOptions,
  createRedisManager,
  type FallbackReason,
  isRedisCommandError,
  isRedisUnavailable,
  RedisCommandError,
  type RedisHealth,
  type RedisManager,
  type RedisManagerOptions,
  type RedisState,
  type RedisTransition,
  RedisUnavailableError,
} from './redis/index.js'

// Cache
export {
  type Cache,
  type CacheableOptions,
  type CacheCodec,
  type CacheCounters,
  type CacheOptions,
  type CacheOutcome,
  type CacheStats,
  CacheValueError,
  type CompressionAlgorithm,
  type Computation,
  type ComputeContext,
  cacheable,
  createCache,
  type FreshnessOptions,
  type InvalidatesOptions,
  invalidates,
  isCacheValueError,
  keyOf,
  type LocalMode,
  type MemoizeOptions,
  type MethodDecorator,
  type SetOptions,
  type WarmLoader,
  type WarmOptions,
  type WarmProgress,
  type WarmReport,
} from './cache/index.js'

// Response cache
export {
  type BypassReason,
  type Refusal,
  type ResponseCacheMiddleware,
  type ResponseCacheOptions,
  type ResponseCacheOutcome,
  responseCache,
} from './response-cache/index.js'

// Rate limiter
export {
  type AuthLimit,
  type AuthLimitOptions,
  type BlockEscalation,
  type Caller,
  type CallerKey,
  type ConcurrencyOptions,
  concurrency,
  createRateLimiter,
  type ExpressRateLimitMiddleware,
  type ExpressRateLimitOptions,
  fromExpressRateLimit,
  type LimitDegraded,
  type LimitExceeded,
  type PerRequest,
  type PolicyState,
  presets,
  type RateLimitAlgorithm,
  type RateLimitCheck,
  type RateLimitDecision,
  type RateLimiter,
  type RateLimiterOptions,
  type RateLimitHeaders,
  type RateLimitInfo,
  RateLimitKeyError,
  type RateLimitMiddleware,
  type RateLimitOptions,
  type RateLimitPolicy,
  type RateLimitPresets,
  RateLimitValueError,
  rateLimit,
} from './rate-limit/index.js'

// Operations
export {
  type CheckFunction,
  type HealthCheck,
  type HealthMiddleware,
  type HealthOptions,
  type HealthReport,
  type HealthStatus,
  health,
} from './ops/index.js'

// Security log
export {
  createSecurityLog,
  type EventAlias,
  type OwaspEventType,
  type OwnEventType,
  type PinoLike,
  type RequestSecurity,
  type SecurityEvent,
  type SecurityEventDetails,
  type SecurityEventType,
  type SecurityLevel,
  type SecurityLog,
  type SecurityLogOptions,
  type SecurityLogStats,
  type SecurityMiddleware,
  type SecurityMiddlewareOptions,
  type SecurityPage,
  type SecurityQuery,
  type SecuritySink,
  type SinkOption,
  securityLog,
} from './security/index.js'
// Coordination
export {
  type BoardAt,
  createLeaderboard,
  type Leaderboard,
  type LeaderboardOptions,
  type LeaderboardPeriod,
  LeaderboardValueError,
  type Placing,
  type PlacingAmong,
  type Standing,
} from './leaderboard/index.js'
export {
  type AcquireOptions,
  createLocks,
  isLockLost,
  isLockTimeout,
  type Lock,
  LockLostError,
  type LockLossReason,
  type LockOutcome,
  type Locks,
  type LocksOptions,
  LockTimeoutError,
  LockValueError,
} from './lock/index.js'
export {
  createPreferences,
  isPreferenceValueError,
  type LocalTierOptions,
  PreferenceConflictError,
  type Preferences,
  type PreferencesOptions,
  PreferenceValueError,
} from './preferences/index.js'

// Messaging
export {
  createNotifier,
  type History,
  type Message,
  type Notification,
  type Notifier,
  type NotifierOptions,
  type NotifyResult,
  type StreamEvent,
  type StreamOptions,
} from './notifications/index.js'
export {
  type Channel,
  type ChannelPattern,
  type ChannelSubscription,
  createPubSub,
  defineChannel,
  type MessageInfo,
  type PublishResult,
  type PubSub,
  type PubSubOptions,
} from './pubsub/index.js'
// Shared: errors, durations, events
export type { Duration } from './shared/duration.js'
export { ConfigurationError, HoldfastError, isConfigurationError, isHoldfastError } from './shared/errors.js'
export type { EventCatalogue } from './shared/events.js'
export type { Logger } from './shared/logger.js'
export { isPayloadError, PayloadError, type PayloadProblem } from './shared/payload.js'
