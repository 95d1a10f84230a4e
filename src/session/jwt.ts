import { type Duration, toMs } from '../shared/duration.js'
import {
  aDuration,
  anything,
  arrayOf,
  aString,
  checkOptions,
  type Rules,
  requireOptions,
  secret,
} from '../shared/options.js'
import type { SessionFallback } from './fallback.js'

export interface JwtOptions {
  /**
   * The issuer's key: a secret of at least 32 bytes for HS256, a `CryptoKey`, a `KeyObject`, a JWK, or a function such
   * as that of jose's `createRemoteJWKSet`.
   */
  readonly key: unknown
  /** Accepted signature algorithms, such as `['ES256']`; none are accepted by default, and `none` never is. */
  readonly algorithms: readonly string[]
  /** Who must have issued the token. */
  readonly issuer: string
  /** Whom it must be for. */
  readonly audience: string
  /** Oldest acceptable token, counted from its `iat`. @default '15m' */
  readonly maxAge?: Duration | undefined
}

const rules: Rules<JwtOptions> = {
  key: secret(anything),
  algorithms: {
    ...arrayOf(aString, 1),
    expected: "an array of algorithms such as ['ES256'], without 'none'",
    accepts: (value) => arrayOf(aString, 1).accepts(value) && !(value as string[]).some((each) => /^none$/i.test(each)),
  },
  issuer: aString,
  audience: aString,
  maxAge: aDuration(1000),
}

/**
 * Judges access tokens by their signature (RFC 7519, RFC 8725), for `fallback`. Needs the package `jose` (5 or 6).
 *
 * @example
 * ```ts
 * import { createRedisManager } from 'holdfast'
 * import { createSessions, jwt } from 'holdfast/session'
 *
 * const sessions = createSessions({
 *   redis: createRedisManager(),
 *   fallback: jwt({
 *     key: new TextEncoder().encode('a secret of at least thirty-two bytes'),
 *     algorithms: ['HS256'],
 *     issuer: 'https://login.example',
 *     audience: 'shop',
 *   }),
 * })
 * ```
 */
export function jwt(options: JwtOptions): SessionFallback {
  checkOptions('jwt', options, rules)
  requireOptions('jwt', options, rules, 'key', 'algorithms', 'issuer', 'audience')
  const { key, algorithms, issuer, audience, maxAge = '15m' } = options
  const checks = {
    algorithms: [...algorithms],
    issuer,
    audience,
    maxTokenAge: toMs(maxAge) / 1000,
    requiredClaims: ['exp', 'sub'],
  }
  // Begun at construction: a package that is missing is noticed at start-up, not in the first outage.
  const loading = import('jose')
  loading.catch(() => {})
  return async (token) => {
    const { errors, jwtVerify } = await loading
    try {
      const { payload } = await jwtVerify(token, key as never, checks)
      if (payload.sub === undefined) return undefined
      return { userId: payload.sub, ...(typeof payload.sid === 'string' && { sessionId: payload.sid }) }
    } catch (error) {
      if (error instanceof errors.JOSEError) return undefined
      throw error
    }
  }
}
