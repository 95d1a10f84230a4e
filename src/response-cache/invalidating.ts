import type { ServerResponse } from 'node:http'
import type { Head } from './capture.js'
import { valuesOf } from './headers.js'
import { urlPath } from './key.js'
import { headersOf } from './sent.js'

/** Methods that leave the resource as it is (RFC 9110 §9.2.1). */
const SAFE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'QUERY', 'PROPFIND', 'REPORT', 'SEARCH'])

export function isUnsafe(method: string): boolean {
  return !SAFE.has(method)
}

/**
 * What an answer to an unsafe method makes outdated (RFC 9111 §4.4): its target, and what Location and Content-Location
 * name of the same origin. Nothing where the answer is an error.
 */
export function outdatedBy(
  { status, headers }: Head,
  target: { readonly protocol: string; readonly authority: string; readonly url: string },
): string[] {
  if (status < 200 || status >= 400) return []
  const base = `${target.protocol}://${target.authority}`
  const named = ['location', 'content-location'].flatMap((name) => valuesOf(headers, name))
  const urls = named.flatMap((value) => {
    try {
      const url = new URL(value, new URL(target.url, base))
      return url.origin === new URL(base).origin ? [urlPath(url.href)] : []
    } catch {
      return []
    }
  })
  return [...new Set([urlPath(target.url), ...urls])]
}

/** Holds the end of a response back until the work that its head calls for is done: the client is told afterwards. */
export function holdEnd(res: ServerResponse, work: (head: Head) => Promise<unknown> | undefined): void {
  const { writeHead, end } = res
  let head: Head | undefined
  res.writeHead = function (this: ServerResponse, status: number, ...rest: unknown[]) {
    head ??= { status, headers: headersOf(res, rest.at(-1)) }
    return Reflect.apply(writeHead, res, [status, ...rest])
  } as ServerResponse['writeHead']
  res.end = function (this: ServerResponse, ...args: unknown[]) {
    res.end = end
    const pending = work(head ?? { status: res.statusCode, headers: headersOf(res, undefined) })
    if (pending === undefined) return Reflect.apply(end, res, args)
    const finish = (): void => void Reflect.apply(end, res, args)
    pending.then(finish, finish)
    return res
  } as ServerResponse['end']
}
