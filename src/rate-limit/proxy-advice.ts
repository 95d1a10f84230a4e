import type { RedisManager } from '../redis/index.js'
import type { RequestLike } from './request.js'

/**
 * Looks at requests until it has something to say, and says it once: with `trust proxy` wrong, a limiter by address
 * limits either nobody or everybody. See "Behind a proxy" in docs/rate-limit.md.
 */
export function proxyAdvice(redis: RedisManager): (req: RequestLike) => void {
  let trust: unknown
  let silent = false
  return (req) => {
    if (silent || req.app === undefined) return
    trust ??= req.app.get('trust proxy') ?? false
    if (trust === true) {
      silent = true
      redis.warn(
        'HOLDFAST_TRUST_PROXY_ALL',
        '"trust proxy" is true, so clients choose their own address and are not limited; name the proxies or their ' +
          'number instead (docs/rate-limit.md#behind-a-proxy)',
      )
    } else if (trust !== false) {
      silent = true
    } else if (req.headers['x-forwarded-for'] !== undefined) {
      silent = true
      redis.warn(
        'HOLDFAST_TRUST_PROXY_OFF',
        'a request has X-Forwarded-For but "trust proxy" is off; behind a proxy all clients would share one limit ' +
          '(docs/rate-limit.md#behind-a-proxy)',
      )
    }
  }
}
