import { hash } from 'node:crypto'

export interface ResourceFacts {
  readonly protocol: string
  /** Host and port as far as they can be trusted. */
  readonly authority: string
  /** Path and query as the client sent them. */
  readonly url: string
  /** Parts of the caller's own. */
  readonly extra: readonly string[]
}

/** One key per resource, whatever the length or the characters of its URL: parts cannot run into one another. */
export function resourceKey({ protocol, authority, url, extra }: ResourceFacts): string {
  const fragment = url.indexOf('#')
  // Clients send none, attackers may: handlers that show the URL would show it to everyone.
  const asked = fragment < 0 ? canonicalUrl(url) : canonicalUrl(url) + url.slice(fragment)
  const parts = [protocol, authority, asked, ...extra]
  return hash('sha256', Buffer.from(joinedParts(parts), 'utf16le'), 'base64url')
}

/** No two lists of parts give one text. */
export function joinedParts(parts: readonly (string | number)[]): string {
  let text = ''
  for (const part of parts) text += `${String(part).length}:${part}`
  return text
}

/**
 * A host named with the very port this process listens on is asked for directly: processes of one app, or one app under
 * test on a new port each time, share their entries. Any other port is part of the name, since handlers put it in links.
 */
export function sharedAuthority(authority: string, localPort: number | undefined): string {
  return authority.endsWith(`:${localPort}`) ? authority.replace(/\d+$/, 'local') : authority
}

/** Above this a parser may drop parameters by their position, so their order is part of the meaning. */
const MAX_SORTED = 100

/**
 * The URL with its query sorted by name. Parameters of one name, `a`, `a[b]` and `%61` alike, keep their order among
 * themselves: query parsers read meaning into it.
 */
export function canonicalUrl(url: string): string {
  const hash = url.indexOf('#')
  const whole = hash < 0 ? url : url.slice(0, hash)
  const mark = whole.indexOf('?')
  if (mark < 0) return whole
  const parameters = whole
    .slice(mark + 1)
    .split('&')
    .filter((parameter) => parameter !== '')
  if (parameters.length === 0) return whole.slice(0, mark)
  if (parameters.length > 1 && parameters.length <= MAX_SORTED) {
    const named = parameters.map((parameter) => ({ parameter, name: baseName(parameter) }))
    // Array sort is stable: what has one name stays in its order.
    named.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
    return `${whole.slice(0, mark)}?${named.map(({ parameter }) => parameter).join('&')}`
  }
  return `${whole.slice(0, mark)}?${parameters.join('&')}`
}

/** The name by which query parsers group a parameter: of `a`, `a[b]`, `a.b` and `%61` alike, `a`. */
export function baseName(parameter: string): string {
  const name = (/^[^=]*/.exec(parameter)?.[0] ?? '').replaceAll('+', ' ')
  return (/^\[?[^[.]*/.exec(decoded(name))?.[0] ?? name).replace(/^\[/, '')
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** Path and canonical query of an absolute URL or of a path: what {@link urlTag} is made of. */
export function urlPath(url: string): string {
  const absolute = /^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i.exec(url)
  const rest = absolute === null ? url : url.slice(absolute[0].length)
  return canonicalUrl(rest.startsWith('/') ? rest : `/${rest}`)
}

/** The tag every stored response of a URL carries, for all hosts, variants and callers' keys. */
export function urlTag(url: string): string {
  // A space begins no tag that a caller can have meant, so the two kinds do not meet.
  return ` url ${urlPath(url)}`
}
