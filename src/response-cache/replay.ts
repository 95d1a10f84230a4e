import { notModified } from './conditional.js'
import type { Outgoing } from './outgoing.js'
import { joinedVary, type Prepared } from './prepared.js'
import { sliceOf } from './range.js'

export interface Replayed {
  readonly method: string | undefined
  /** As the client sent them. */
  readonly requestHeaders: Readonly<Record<string, string | string[] | undefined>>
  readonly status: number
  readonly prepared: Prepared
  readonly body: Buffer
  readonly birth: number
  readonly now: number
  readonly age: boolean
}

/**
 * Sets status and headers of a stored response, or of the 304 or 206 that is made of it, and returns the bytes to send.
 * Headers set for this request already stay.
 */
export function prepareReplay(res: Outgoing, replayed: Replayed): Buffer | undefined {
  const { method, requestHeaders, status, prepared, body, birth, now } = replayed
  const { plain, cors, vary, removed, dated, etag, lastModified } = prepared
  for (const name of removed) res.removeHeader(name)
  for (let at = 0; at < plain.length; at += 2) res.setHeader(plain[at] as string, plain[at + 1] as string | string[])
  for (const [name, value] of cors) {
    if (!res.hasHeader(name)) res.setHeader(name, value as string | string[])
  }
  if (vary.length > 0) res.setHeader('Vary', joinedVary(res.getHeader('vary'), vary))
  if (!dated) res.setHeader('Date', httpDateOf(birth))
  if (replayed.age) res.setHeader('Age', Math.max(0, Math.floor((now - birth) / 1000)))
  res.statusCode = status
  if (status === 200 && notModified(requestHeaders, { etag, lastModified })) {
    res.statusCode = 304
    for (const name of ['Content-Length', 'Content-Encoding', 'Content-Type']) res.removeHeader(name)
    return undefined
  }
  let bytes: Buffer = body
  if (status === 200 && method === 'GET' && requestHeaders.range !== undefined) {
    // Middlewares that compress leave the ETag as it is: it does not tell this encoding from another.
    const strong = res.hasHeader('Content-Encoding') ? undefined : etag
    const slice = sliceOf(requestHeaders, body.length, {
      etag: strong,
      lastModified: prepared.divided ? undefined : lastModified,
    })
    if (slice.kind === 'part') {
      res.statusCode = 206
      res.setHeader('Content-Range', `bytes ${slice.start}-${slice.end}/${body.length}`)
      // Those mounted before this one would compress the part and leave its range that of the whole.
      const said = res.getHeader('Cache-Control')
      res.setHeader('Cache-Control', said === undefined ? 'no-transform' : `${said}, no-transform`)
      bytes = body.subarray(slice.start, slice.end + 1)
    } else if (slice.kind === 'unsatisfiable') {
      res.statusCode = 416
      res.setHeader('Content-Range', `bytes */${body.length}`)
      for (const name of ['Content-Encoding', 'Content-Type']) res.removeHeader(name)
      bytes = body.subarray(0, 0)
    }
  }
  if (status !== 204) res.setHeader('Content-Length', bytes.length)
  return method === 'HEAD' || bytes.length === 0 ? undefined : bytes
}

let datedAt = Number.NaN
let date = ''

/** Most hits in a row are of a few responses. */
function httpDateOf(at: number): string {
  if (at !== datedAt) {
    datedAt = at
    date = new Date(at).toUTCString()
  }
  return date
}
