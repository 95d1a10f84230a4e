import type { ServerResponse } from 'node:http'
import { notModified } from './conditional.js'
import { valuesOf } from './headers.js'
import { sliceOf } from './range.js'
import type { StoredHead } from './stored.js'
import { parseVary } from './vary.js'

export interface Replayed {
  readonly method: string | undefined
  /** As the client sent them. */
  readonly requestHeaders: Readonly<Record<string, string | string[] | undefined>>
  readonly head: Pick<StoredHead, 'status' | 'headers'>
  readonly body: Buffer
  readonly birth: number
  readonly now: number
  readonly age: boolean
}

/**
 * Sets status and headers of a stored response, or of the 304 or 206 that is made of it, and returns the bytes to send.
 * Headers set for this request already stay.
 */
export function prepareReplay(res: ServerResponse, replayed: Replayed): Buffer | undefined {
  const { method, requestHeaders, head, body, birth, now } = replayed
  let dated = false
  for (const [name, value] of head.headers) {
    const key = name.toLowerCase()
    dated ||= key === 'date'
    if (key === 'vary') res.setHeader(name, joinedVary(res.getHeader('vary'), value))
    else if (!(key.startsWith('access-control-') && res.hasHeader(name))) {
      res.setHeader(name, value as string | string[])
    }
  }
  if (!dated) res.setHeader('Date', new Date(birth).toUTCString())
  if (replayed.age) res.setHeader('Age', Math.max(0, Math.floor((now - birth) / 1000)))
  res.statusCode = head.status
  const etag = valuesOf(head.headers, 'etag')[0]
  const lastModified = valuesOf(head.headers, 'last-modified')[0]
  if (head.status === 200 && notModified(requestHeaders, { etag, lastModified })) {
    res.statusCode = 304
    for (const name of ['Content-Length', 'Content-Encoding', 'Content-Type']) res.removeHeader(name)
    return undefined
  }
  let bytes: Buffer = body
  if (head.status === 200 && method === 'GET' && requestHeaders.range !== undefined) {
    const slice = sliceOf(requestHeaders, body.length, { etag, lastModified })
    if (slice.kind === 'part') {
      res.statusCode = 206
      res.setHeader('Content-Range', `bytes ${slice.start}-${slice.end}/${body.length}`)
      bytes = body.subarray(slice.start, slice.end + 1)
    } else if (slice.kind === 'unsatisfiable') {
      res.statusCode = 416
      res.setHeader('Content-Range', `bytes */${body.length}`)
      for (const name of ['Content-Encoding', 'Content-Type']) res.removeHeader(name)
      bytes = body.subarray(0, 0)
    }
  }
  if (head.status !== 204) res.setHeader('Content-Length', bytes.length)
  return method === 'HEAD' || bytes.length === 0 ? undefined : bytes
}

function joinedVary(present: number | string | string[] | undefined, stored: string | readonly string[]): string {
  const values = [present, stored].flat().filter((value) => value !== undefined)
  const names = parseVary(values.map(String))
  return names === '*' ? '*' : values.length === 1 ? String(values[0]) : names.join(', ')
}
