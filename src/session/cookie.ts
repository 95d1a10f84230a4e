import { createHmac, timingSafeEqual } from 'node:crypto'
import type { CookieOptions } from './middleware.js'

const PLAIN_NAME = 'sid'

/** Safe unless told otherwise. `secure: 'auto'` follows the request, so that plain http works on a laptop. */
export const COOKIE_DEFAULTS = { httpOnly: true, sameSite: 'lax', secure: 'auto', path: '/' } as const

/** `__Host-` makes browsers refuse the cookie from anything but https and this very host (RFC 6265bis §4.1.3.2). */
export function cookieName(cookie: CookieOptions): string {
  const { secure, path, domain } = { ...COOKIE_DEFAULTS, ...cookie } as CookieOptions
  return secure === true && path === '/' && domain === undefined ? `__Host-${PLAIN_NAME}` : PLAIN_NAME
}

/** The value of a cookie, read as express-session reads it: of several of one name the first. */
export function cookieValue(header: string | undefined, name: string): string | undefined {
  if (header === undefined || !header.includes(name)) return undefined
  for (const pair of header.split(';')) {
    const equals = pair.indexOf('=')
    if (equals === -1 || trimmed(pair.slice(0, equals)) !== name) continue
    const value = trimmed(pair.slice(equals + 1))
    return decoded(value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value)
  }
  return undefined
}

/** The id in a cookie that was signed with one of the secrets, as express-session signs. */
export function signedId(header: string | undefined, name: string, secrets: readonly string[]): string | undefined {
  const value = cookieValue(header, name)
  const dot = value?.lastIndexOf('.') ?? -1
  if (value === undefined || dot < 3 || !value.startsWith('s:')) return undefined
  const id = value.slice(2, dot)
  const signature = Buffer.from(value.slice(dot + 1))
  for (const secret of secrets) {
    const expected = Buffer.from(createHmac('sha256', secret).update(id).digest('base64').replace(/=+$/, ''))
    if (expected.length === signature.length && timingSafeEqual(expected, signature)) return id
  }
  return undefined
}

/** Without spaces and tabs at its ends, and those alone. */
function trimmed(text: string): string {
  return /^[ \t]|[ \t]$/.test(text) ? text.replace(/^[ \t]+|[ \t]+$/g, '') : text
}

function decoded(text: string): string {
  if (!text.includes('%')) return text
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
