import type { OutgoingHttpHeader, ServerResponse } from 'node:http'
import { asText, type HeaderList, mergeHeaders, writtenHeaders } from './headers.js'

/** What has been set on a response so far, by lower-case name. */
export function alreadySet(res: ServerResponse): ReadonlyMap<string, string> {
  const values = new Map<string, string>()
  for (const name of res.getHeaderNames()) values.set(name, String(res.getHeader(name)))
  return values
}

/** The headers of a response that is about to be sent; `given` is the last argument of `writeHead`. */
export function headersOf(res: ServerResponse, given: unknown): HeaderList {
  const set: HeaderList[number][] = []
  // Missing from the types of ServerResponse, present since Node 15.
  for (const name of (res as unknown as { getRawHeaderNames(): string[] }).getRawHeaderNames()) {
    set.push(asText(name, res.getHeader(name) as OutgoingHttpHeader))
  }
  return mergeHeaders(set, writtenHeaders(given))
}
