export type { BlockEscalation } from './block.js'
export type { Caller } from './caller.js'
export { type ConcurrencyOptions, concurrency } from './concurrency/middleware.js'
export type { PolicyState, RateLimitDecision } from './decision.js'
export type { LimitDecided, LimitDegraded, LimitExceeded } from './events.js'
export {
  type ExpressRateLimitMiddleware,
  type ExpressRateLimitOptions,
  fromExpressRateLimit,
} from './express-rate-limit/middleware.js'
export type { RateLimitHeaders } from './headers.js'
export type { RateLimitInfo } from './info.js'
export {
  type CallerKey,
  createRateLimiter,
  type RateLimitCheck,
  type RateLimiter,
  type RateLimiterOptions,
} from './limiter.js'
export { type PerRequest, type RateLimitMiddleware, type RateLimitOptions, rateLimit } from './middleware.js'
export { RateLimitValueError } from './plan.js'
export type { RateLimitAlgorithm, RateLimitPolicy } from './policy.js'
export { type AuthLimit, type AuthLimitOptions, presets, type RateLimitPresets } from './presets/middleware.js'
export { RateLimitKeyError } from './principal.js'
