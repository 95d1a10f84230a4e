import type { OutgoingHttpHeader } from 'node:http'

/** Names as they were written, each with one value or, for a repeated header, several. */
export type HeaderList = readonly (readonly [name: string, value: string | readonly string[]])[]

/** All values of a header, by its lower-case name. */
export function valuesOf(headers: HeaderList, name: string): string[] {
  const values: string[] = []
  for (const [each, value] of headers) {
    if (each.length !== name.length || each.toLowerCase() !== name) continue
    if (typeof value === 'string') values.push(value)
    else values.push(...value)
  }
  return values
}

/** What `writeHead` was given joined over what `setHeader` had set: the later wins, by name. */
export function mergeHeaders(
  set: HeaderList,
  written: readonly (readonly [name: string, value: OutgoingHttpHeader | undefined])[],
): HeaderList {
  if (written.length === 0) return set
  const merged = new Map(set.map((header) => [header[0].toLowerCase(), header]))
  for (const [name, value] of written) {
    if (value !== undefined) merged.set(name.toLowerCase(), asText(name, value))
  }
  return [...merged.values()]
}

export function asText(name: string, value: OutgoingHttpHeader): HeaderList[number] {
  return [name, Array.isArray(value) ? value.map(String) : String(value)]
}

/** The header argument of `writeHead`: an object, pairs, or a flat list in which a name may come several times. */
export function writtenHeaders(given: unknown): [name: string, value: OutgoingHttpHeader][] {
  if (typeof given !== 'object' || given === null) return []
  if (!Array.isArray(given)) return Object.entries(given)
  const pairs: [string, OutgoingHttpHeader][] = Array.isArray(given[0])
    ? given
    : Array.from({ length: given.length / 2 }, (_, index) => [given[2 * index], given[2 * index + 1]])
  const joined = new Map<string, [string, OutgoingHttpHeader]>()
  for (const [name, value] of pairs) {
    const previous = joined.get(name.toLowerCase())
    joined.set(
      name.toLowerCase(),
      previous === undefined ? [name, value] : [previous[0], [previous[1], value].flat().map(String)],
    )
  }
  return [...joined.values()]
}

/** Belong to one message or one connection and are never stored (RFC 9111 §3.1). */
const OWN: ReadonlySet<string> = new Set([
  ...['connection', 'keep-alive', 'transfer-encoding', 'te', 'upgrade', 'trailer'],
  ...['proxy-authenticate', 'proxy-authentication-info', 'proxy-authorization', 'proxy-connection'],
  ...['set-cookie', 'content-length', 'age', 'x-cache', 'cache-status'],
  ...['x-request-id', 'x-correlation-id', 'request-id', 'traceparent', 'tracestate', 'traceresponse'],
  ...['surrogate-key', 'cache-tag'],
  ...['server-timing', 'x-response-time', 'retry-after', 'ratelimit', 'ratelimit-policy'],
])

function isOwn(name: string): boolean {
  return OWN.has(name) || name.startsWith('ratelimit-') || name.startsWith('x-ratelimit-')
}

/**
 * The headers worth keeping: what the handler added or changed. What an earlier middleware had set for this request
 * (`before`) is set by it for the next one too, with the values of that request.
 */
export function storedHeaders(headers: HeaderList, before: ReadonlyMap<string, string>): HeaderList {
  const nominated = valuesOf(headers, 'connection').flatMap((value) => value.toLowerCase().split(/\s*,\s*/))
  return headers.filter(([name, value]) => {
    const key = name.toLowerCase()
    return !isOwn(key) && !nominated.includes(key) && before.get(key) !== String(value)
  })
}

/** What earlier middlewares had set and the answer no longer has: helmet takes `X-Powered-By` away. */
export function removedHeaders(headers: HeaderList, before: ReadonlyMap<string, string>): string[] {
  const sent = new Set(headers.map(([name]) => name.toLowerCase()))
  return [...before.keys()].filter((name) => !sent.has(name) && !isOwn(name))
}

/** Describe the stored body, or are what it was validated by (RFC 9111 §3.2). */
const OF_THE_BODY: ReadonlySet<string> = new Set([
  ...['content-encoding', 'content-length', 'content-md5', 'content-range', 'etag'],
])

/** A stored head with what the 304 that confirmed it says anew (RFC 9111 §4.3.4). */
export function updatedHeaders(stored: HeaderList, confirmed: HeaderList): HeaderList {
  const news = new Map(
    confirmed.map((header) => [header[0].toLowerCase(), header] as const).filter(([name]) => !OF_THE_BODY.has(name)),
  )
  // A Date says when the response was last confirmed: the old one no longer holds.
  const old = stored.filter(([name]) => !news.has(name.toLowerCase()) && name.toLowerCase() !== 'date')
  return [...old, ...news.values()]
}
