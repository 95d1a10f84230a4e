import type { IncomingMessage } from 'node:http'
import { baseName } from './key.js'

export interface QueryOptions {
  readonly ignore?: readonly string[] | undefined
  readonly allow?: readonly string[] | undefined
}

/** Whether a parameter is part of the key, by its name. */
export type KeyedParameter = (name: string) => boolean

/** `name` means `name[]` and `name[key]` too; a last `*` stands for any ending. `undefined`: all are part of the key. */
export function keyedParameter({ ignore, allow }: QueryOptions): KeyedParameter | undefined {
  if (ignore === undefined && allow === undefined) return undefined
  const ignored = matcher(ignore ?? [])
  const allowed = allow === undefined ? () => true : matcher(allow)
  return (name) => allowed(name) && !ignored(name)
}

function matcher(patterns: readonly string[]): KeyedParameter {
  const names = new Set(patterns.filter((pattern) => !pattern.endsWith('*')))
  const starts = patterns.filter((pattern) => pattern.endsWith('*')).map((pattern) => pattern.slice(0, -1))
  return (name) => names.has(name) || starts.some((start) => name.startsWith(start))
}

/** The URL with the parameters that are part of the key, in their order. */
export function keyedUrl(url: string, keyed: KeyedParameter): string {
  const mark = url.indexOf('?')
  if (mark < 0) return url
  const parameters = url.slice(mark + 1).split('&')
  const kept = parameters.filter((parameter) => keyed(baseName(parameter)))
  if (kept.length === parameters.length) return url
  return kept.length === 0 ? url.slice(0, mark) : `${url.slice(0, mark)}?${kept.join('&')}`
}

/**
 * Keeps the parameters that are not part of the key from the handler: what it made of one would be given to everyone.
 * Gives back what loggers read, once the handler is done.
 */
export function hideQuery(req: IncomingMessage, keyed: KeyedParameter): () => void {
  const request = req as IncomingMessage & { originalUrl?: string; query?: object }
  const { url = '', originalUrl = url } = request
  if (keyedUrl(originalUrl, keyed) === originalUrl) return () => {}
  request.url = keyedUrl(url, keyed)
  request.originalUrl = keyedUrl(originalUrl, keyed)
  // Express 4 has parsed it already; Express 5 does so when it is read.
  if (Object.hasOwn(request, 'query')) {
    const kept = Object.entries(request.query ?? {}).filter(([name]) => keyed(baseName(name)))
    Object.defineProperty(request, 'query', { value: Object.fromEntries(kept) })
  }
  return () => {
    request.originalUrl = originalUrl
  }
}
