import { isIPv4 } from 'node:net'
import { networkOf } from '../../shared/address.js'

/** One subscriber: an IPv4 address or an IPv6 /64. */
export function subscriber(ip: string | undefined): string | undefined {
  return ip === undefined ? undefined : networkOf(ip)
}

/** The neighbourhood in which an honest client moves: an IPv4 /24 or an IPv6 /48. */
export function neighbourhood(ip: string | undefined): string | undefined {
  if (ip === undefined) return undefined
  return isIPv4(ip) ? `${ip.slice(0, ip.lastIndexOf('.'))}.0/24` : networkOf(ip, 48)
}
