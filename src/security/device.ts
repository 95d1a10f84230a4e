import { createHmac, randomBytes } from 'node:crypto'
import { sameText } from './digest.js'

/**
 * Signed cookies that say: this device has logged in to this account before (OWASP device cookies, Slow Down Online
 * Guessing Attacks with Device Cookies). One per account, so that a family's tablet serves all of them.
 */
export interface DeviceCookies {
  /** `account` is a digest. */
  name(account: string): string
  issue(account: string): string
  /** The id of the device, where the cookie is ours, for this account, and not too old. */
  verify(account: string, value: string | undefined): string | undefined
}

const MAX_VALUE = 200

export function createDeviceCookies(secret: string, lifetime: number, now: () => number): DeviceCookies {
  const sign = (account: string, id: string, expires: string): string =>
    createHmac('sha256', secret).update(`device\0${account}\0${id}\0${expires}`).digest('base64url').slice(0, 32)
  return {
    name: (account) => `device_${account.replace(/[^\w-]/g, '').slice(0, 12)}`,
    issue(account) {
      const id = randomBytes(12).toString('base64url')
      const expires = String(now() + lifetime)
      return `${id}.${expires}.${sign(account, id, expires)}`
    },
    verify(account, value) {
      if (value === undefined || value.length > MAX_VALUE) return undefined
      const match = /^([\w-]{16})\.(\d{1,15})\.([\w-]{32})$/.exec(value)
      if (match === null) return undefined
      const [, id = '', expires = '', signature = ''] = match
      return sameText(signature, sign(account, id, expires)) && Number(expires) > now() ? id : undefined
    },
  }
}

/** The value of one cookie of a Cookie header. */
export function cookieOf(header: string | undefined, name: string): string | undefined {
  if (header === undefined || header.length > 16_384) return undefined
  for (const part of header.split(';')) {
    const at = part.indexOf('=')
    if (at > 0 && part.slice(0, at).trim() === name) return part.slice(at + 1).trim()
  }
  return undefined
}
