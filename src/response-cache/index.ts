export type { ResponseCacheOutcome } from './events.js'
export { type ResponseCacheMiddleware, type ResponseCacheOptions, responseCache } from './middleware.js'
export type { BypassReason, Refusal } from './policy.js'
