import type { ServerResponse } from 'node:http'
import { type HeaderList, valuesOf, writtenHeaders } from './headers.js'

const LABELS: ReadonlySet<string> = new Set(['surrogate-key', 'cache-tag'])

const isLabel = (name: string): boolean => LABELS.has(name.toLowerCase())

/** Labels that a response gives itself for invalidation: `Surrogate-Key` by spaces, `Cache-Tag` by commas. */
export function tagsIn(headers: HeaderList): string[] {
  const keys = valuesOf(headers, 'surrogate-key').flatMap((value) => value.split(/\s+/))
  const tags = valuesOf(headers, 'cache-tag').flatMap((value) => value.split(','))
  return [...new Set([...keys, ...tags].map((tag) => tag.trim()).filter((tag) => tag !== ''))]
}

export function labelsOf(headers: HeaderList): HeaderList {
  return headers.filter(([name]) => isLabel(name))
}

/** Takes labels off a head that is about to be sent; returns what `writeHead` is to be given after its status. */
export function withoutLabels(res: ServerResponse, rest: readonly unknown[]): readonly unknown[] {
  for (const name of LABELS) if (res.hasHeader(name)) res.removeHeader(name)
  const written = writtenHeaders(rest.at(-1))
  if (!written.some(([name]) => isLabel(name))) return rest
  const kept = written.filter(([name]) => !isLabel(name))
  return [...rest.slice(0, -1), Object.fromEntries(kept)]
}

/** For responses that no cache watches: labels are for caches and tell clients what belongs together. */
export function hideLabels(res: ServerResponse): void {
  const { writeHead } = res
  res.writeHead = function (this: ServerResponse, status: number, ...rest: unknown[]) {
    return Reflect.apply(writeHead, res, [status, ...(res.headersSent ? rest : withoutLabels(res, rest))])
  } as ServerResponse['writeHead']
}
