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

/** The raw value of a cookie; undefined where there is none of this name. */
export function rawCookie(header: string | undefined, name: string): string | undefined {
  if (header === undefined || !header.includes(`${name}=`)) return undefined
  const start = `${name}=`
  const pair = header.split(';').find((each) => each.trimStart().startsWith(start))
  return pair?.trim().slice(start.length)
}

/** The id that express-session signed into a cookie, for requests that it does not see. */
export function signedId(header: string | undefined, name: string, secrets: readonly string[]): string | undefined {
  const raw = rawCookie(header, name)
  const match = raw === undefined ? null : /^s(?::|%3A)(.+)\.([^.]+)$/i.exec(raw)
  const id = decode(match?.[1])
  const signature = Buffer.from(decode(match?.[2]) ?? '')
  if (id === undefined) return undefined
  const valid = secrets.some((secret) => {
    const expected = Buffer.from(createHmac('sha256', secret).update(id).digest('base64').replace(/=+$/, ''))
    return expected.length === signature.length && timingSafeEqual(expected, signature)
  })
  return valid ? id : undefined
}

function decode(text: string | undefined): string | undefined {
  try {
    return text === undefined ? undefined : decodeURIComponent(text)
  } catch {
    return undefined
  }
}
