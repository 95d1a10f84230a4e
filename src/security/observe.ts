import type { SecurityEventDetails } from './event.js'
import type { OwaspEventType } from './vocabulary.js'

/** What a finished request shows about itself. */
export interface RequestOutcome {
  readonly status: number
  /** It carried an Authorization header or cookies. */
  readonly credentials: boolean
  /** A rate limiter of this package reports its refusals itself. */
  readonly limiterReports: boolean
}

/** The event a finished request is by its status, or `undefined` for the ordinary. */
export function observe(request: RequestOutcome): readonly [OwaspEventType, SecurityEventDetails] | undefined {
  switch (request.status) {
    case 400:
    case 422:
      return ['input_validation_fail', {}]
    case 401:
      // Whoever sends no credentials is not refused but asked to log in.
      return ['authz_fail', { reason: 'unauthenticated', level: request.credentials ? 'warn' : 'info' }]
    case 403:
      return ['authz_fail', { reason: 'forbidden' }]
    case 429:
      return request.limiterReports ? undefined : ['excess_rate_limit_exceeded', {}]
    default:
      return undefined
  }
}
