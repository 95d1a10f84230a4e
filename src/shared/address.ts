import { BlockList, isIPv4, isIPv6 } from 'node:net'

/** An IPv6 address as its eight groups of 16 bits. */
type Groups = readonly number[]

/** Longest text that can hold an address, a zone and a port; anything longer is not looked at. */
const MAX_TEXT = 100
const DECIMAL_PORT = /^:\d{1,5}$/
const V4_WITH_PORT = /^(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}):\d{1,5}$/

/**
 * The one spelling of an IP address (RFC 5952), or `undefined` for anything else. Brackets, port and zone are dropped;
 * an IPv4 address inside IPv6 (v4-mapped `::ffff:0:0/96`, NAT64 `64:ff9b::/96` of RFC 6052) becomes that IPv4 address,
 * recognised by its bits and not by its spelling.
 */
export function normaliseAddress(text: unknown): string | undefined {
  if (typeof text !== 'string' || text.length > MAX_TEXT) return undefined
  if (isIPv4(text)) return text
  // How a dual-stack socket names an IPv4 client; other spellings of the same take the long way.
  if (text.startsWith('::ffff:') && isIPv4(text.slice(7))) return text.slice(7)
  const bare = withoutPort(text)
  if (isIPv4(bare)) return bare
  const address = withoutZone(bare)
  if (!isIPv6(address)) return undefined
  const groups = groupsOf(address)
  return embeddedV4(groups) ?? format(groups)
}

/**
 * What one subscriber holds: an IPv4 address as it is, an IPv6 address cut to its network (`2001:db8:0:1::/64`), since
 * one line owns at least 2^64 of them (RFC 6177). `undefined` for what is no address.
 */
export function networkOf(address: string, ipv6PrefixLength = 64): string | undefined {
  const normal = normaliseAddress(address)
  if (normal === undefined || isIPv4(normal)) return normal
  const groups = groupsOf(normal).map((group, index) => {
    const kept = Math.min(Math.max(ipv6PrefixLength - index * 16, 0), 16)
    return group & (0xffff << (16 - kept)) & 0xffff
  })
  return `${format(groups)}/${ipv6PrefixLength}`
}

/** The client's address as Express determined it: `req.ip` alone, which obeys the application's `trust proxy`. */
export function addressOf(req: { readonly ip?: string | undefined }): string | undefined {
  return normaliseAddress(req.ip)
}

/** True for an address or a network in CIDR notation: `10.0.0.0/8`, `2001:db8::/32`, `192.0.2.7`. */
export function isAddressRange(text: unknown): text is string {
  return typeof text === 'string' && rangeOf(text) !== undefined
}

/** A test for membership in a list of addresses and CIDR networks. Throws a RangeError for an entry that is neither. */
export function addressMatcher(ranges: readonly string[]): (address: string | undefined) => boolean {
  if (ranges.length === 0) return () => false
  const list = new BlockList()
  for (const text of ranges) {
    const range = rangeOf(text)
    if (range === undefined) throw new RangeError(`not an address or CIDR network: ${JSON.stringify(text)}`)
    list.addSubnet(range.address, range.bits, range.family)
  }
  return (address) => {
    const normal = normaliseAddress(address)
    return normal !== undefined && list.check(normal, isIPv4(normal) ? 'ipv4' : 'ipv6')
  }
}

interface Range {
  readonly address: string
  readonly bits: number
  readonly family: 'ipv4' | 'ipv6'
}

function rangeOf(text: string): Range | undefined {
  const [head = '', bitsText, ...rest] = text.split('/')
  if (rest.length > 0 || (bitsText !== undefined && !/^\d{1,3}$/.test(bitsText))) return undefined
  if (!isIPv4(head) && !(isIPv6(head) && !head.includes('%'))) return undefined
  const address = normaliseAddress(head)
  if (address === undefined) return undefined
  const family = isIPv4(address) ? 'ipv4' : 'ipv6'
  const written = isIPv4(head) ? 32 : 128
  // A v4-mapped network is written with 96 bits more than the IPv4 network it means.
  const offset = written - (family === 'ipv4' ? 32 : 128)
  const bits = (bitsText === undefined ? written : Number(bitsText)) - offset
  return bits < 0 || bits > written - offset ? undefined : { address, bits, family }
}

function withoutPort(text: string): string {
  if (!text.startsWith('[')) return V4_WITH_PORT.exec(text)?.[1] ?? text
  const end = text.indexOf(']')
  const rest = text.slice(end + 1)
  if (end < 0 || (rest !== '' && !DECIMAL_PORT.test(rest))) return ''
  const inner = text.slice(1, end)
  // Brackets are for IPv6 only (RFC 3986 §3.2.2).
  return isIPv4(inner) ? '' : inner
}

function withoutZone(text: string): string {
  const zone = text.indexOf('%')
  return zone < 0 ? text : text.slice(0, zone)
}

function groupsOf(address: string): Groups {
  const [head = '', tail] = address.split('::')
  const front = partsOf(head)
  if (tail === undefined) return front
  const back = partsOf(tail)
  return [...front, ...new Array<number>(8 - front.length - back.length).fill(0), ...back]
}

function partsOf(text: string): number[] {
  if (text === '') return []
  return text.split(':').flatMap((part) => {
    if (!part.includes('.')) return [Number.parseInt(part, 16)]
    const [a = 0, b = 0, c = 0, d = 0] = part.split('.').map(Number)
    return [a * 256 + b, c * 256 + d]
  })
}

function embeddedV4(groups: Groups): string | undefined {
  const [a, b, c, d, e, f, high = 0, low = 0] = groups
  const middle = b === 0xff9b ? a === 0x64 && f === 0 : a === 0 && b === 0 && f === 0xffff
  if (!middle || c !== 0 || d !== 0 || e !== 0) return undefined
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`
}

/** RFC 5952: lower case, no leading zeros, the first longest run of two or more zero groups as `::`. */
function format(groups: Groups): string {
  let start = -1
  let length = 1
  for (let index = 0; index < 8; index++) {
    let end = index
    while (end < 8 && groups[end] === 0) end++
    if (end - index > length) {
      start = index
      length = end - index
    }
    index = Math.max(index, end - 1)
  }
  const text = (part: Groups): string => part.map((group) => group.toString(16)).join(':')
  return start < 0 ? text(groups) : `${text(groups.slice(0, start))}::${text(groups.slice(start + length))}`
}
