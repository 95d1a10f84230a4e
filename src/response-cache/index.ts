export type { BypassReason } from './asked.js'
export type { ResponseCacheOutcome } from './events.js'
export { type ResponseCacheMiddleware, type ResponseCacheOptions, responseCache } from './middleware.js'
export type { Refusal } from './policy.js'
