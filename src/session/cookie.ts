import type { CookieOptions } from './middleware.js'

const PLAIN_NAME = 'sid'

/** Safe unless told otherwise. `secure: 'auto'` follows the request, so that plain http works on a laptop. */
export const COOKIE_DEFAULTS = { httpOnly: true, sameSite: 'lax', secure: 'auto', path: '/' } as const

/** `__Host-` makes browsers refuse the cookie from anything but https and this very host (RFC 6265bis §4.1.3.2). */
export function cookieName(cookie: CookieOptions): string {
  const { secure, path, domain } = { ...COOKIE_DEFAULTS, ...cookie } as CookieOptions
  return secure === true && path === '/' && domain === undefined ? `__Host-${PLAIN_NAME}` : PLAIN_NAME
}

/** Whether the header carries a cookie of this name, readable or not. */
export function carriesCookie(header: string | undefined, name: string): boolean {
  if (header === undefined) return false
  const at = header.indexOf(`${name}=`)
  if (at === -1) return false
  return at === 0 || header.split(';').some((pair) => pair.trimStart().startsWith(`${name}=`))
}
