import { createHash, createHmac } from 'node:crypto'
import { addressOf, networkOf } from '../shared/address.js'
import { HoldfastError } from '../shared/errors.js'
import { type Rule, secret, show } from '../shared/options.js'
import type { RequestLike } from './request.js'

/** Who is limited. The type is part of the key: a user named `192.0.2.7` shares nothing with that address. */
export interface Principal {
  readonly type: 'user' | 'address' | 'key'
  readonly id: string
}

/** A request that cannot be attributed to anybody, or whose key is no key. Code `ERR_HOLDFAST_RATE_LIMIT_KEY`. */
export class RateLimitKeyError extends HoldfastError {
  override readonly name = 'RateLimitKeyError' as const

  constructor(message: string) {
    super('ERR_HOLDFAST_RATE_LIMIT_KEY', `rateLimit: ${message}`)
  }
}

export const aKeySecret: Rule = secret({
  expected: 'text of at least 16 characters',
  accepts: (value) => typeof value === 'string' && value.length >= 16,
})

/** Longer ids are kept as a digest: keys stay short, and API keys stay out of MONITOR and SLOWLOG. */
const LONGEST_ID = 64

/**
 * The authenticated user that other middlewares have put on the request: `req.user.id` (passport and the like) or
 * `req.session.userId`. Never a header: what a client can choose gives it as many allowances as it likes.
 */
export function authenticatedUser({ user, session }: RequestLike): string | number | undefined {
  return (
    idOf((user as { id?: unknown } | null | undefined)?.id) ?? idOf((session as { userId?: unknown } | null)?.userId)
  )
}

/** The address that pays for a request, cut to its network; `undefined` once the socket is closed. */
export function networkOfRequest(req: RequestLike, ipv6PrefixLength: number): string | undefined {
  const address = addressOf(req)
  return address === undefined ? undefined : networkOf(address, ipv6PrefixLength)
}

/** A usable id as text, or `undefined` where there is none. Anything but text and numbers is refused, not stringified. */
export function idText(owner: string, value: unknown): string | undefined {
  if (value === undefined || value === null || value === '') return undefined
  const id = idOf(value)
  if (id === undefined) throw new RateLimitKeyError(`${owner} must give text or a finite number, got ${show(value)}`)
  return String(id)
}

/** The id as it stands in a Redis key. With a secret every id is an HMAC, so that keys name nobody. */
export function storedId(id: string, secret: string | undefined): string {
  if (secret !== undefined) return createHmac('sha256', secret).update(id, 'utf16le').digest('base64url').slice(0, 22)
  if (id.length <= LONGEST_ID && !id.startsWith('~')) return id
  return `~${createHash('sha256').update(id, 'utf16le').digest('base64url').slice(0, 22)}`
}

function idOf(value: unknown): string | number | undefined {
  if (typeof value === 'string') return value === '' ? undefined : value
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined
}
