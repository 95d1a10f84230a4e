/*
 * By these a middleware shows what it can do outside of its turn: to `compose`, and to the front lane of `createServer`,
 * which do not know the features and their types. Of the registry of symbols: a middleware from the CommonJS build is
 * known to the ESM build as well.
 */
export const rateLimitSeam: unique symbol = Symbol.for('holdfast.rate-limit.seam') as never
export const responseCacheSeam: unique symbol = Symbol.for('holdfast.response-cache.seam') as never
export const securitySeam: unique symbol = Symbol.for('holdfast.security.seam') as never
