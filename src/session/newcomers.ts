import { createHash } from 'node:crypto'
import type { RedisManager } from '../redis/index.js'
import { addressOf } from '../shared/address.js'
import { cookieValue } from './cookie.js'
import type { Exchange } from './exchange.js'

/** Looks at requests that come without a session of ours: was that what their client wanted? */
export class Newcomers {
  readonly #redis: RedisManager
  readonly #cookie: string
  #advised: boolean

  /** `proxied`: whether the application says itself what its proxy is. */
  constructor(redis: RedisManager, cookie: string, proxied: boolean) {
    this.#redis = redis
    this.#cookie = cookie
    this.#advised = proxied
  }

  /** `signed`: whether the request named a session, which is not there. */
  see(request: Exchange, signed: boolean): void {
    const value = signed ? undefined : cookieValue(request.headers.cookie, this.#cookie)
    if (value !== undefined && this.#redis.listens('session.rejected')) {
      const cookie = createHash('sha256').update(value).digest('base64url').slice(0, 16)
      this.#redis.emit('session.rejected', { reason: 'signature', address: addressOf(request), cookie })
    }
    if (this.#advised || request.secure === true || request.headers['x-forwarded-proto'] !== 'https') return
    this.#advised = true
    this.#redis.warn(
      'HOLDFAST_SESSION_TRUST_PROXY',
      "requests come by https through a proxy that Express does not trust: set app.set('trust proxy', 1), or cookies " +
        'are not Secure, and not sent at all where cookie.secure is true',
    )
  }
}
