import type { IncomingMessage, ServerResponse } from 'node:http'
import { notModified } from './conditional.js'
import { valuesOf } from './headers.js'
import type { StoredHead } from './stored.js'
import { parseVary } from './vary.js'

export interface Replayed {
  readonly head: StoredHead
  readonly body: Buffer
  readonly createdAt: number
  readonly now: number
}

/** Sends a stored response, or 304 where the client has it. Headers set for this request already stay. */
export function replay(req: IncomingMessage, res: ServerResponse, { head, body, createdAt, now }: Replayed): void {
  for (const [name, value] of head.headers) {
    const key = name.toLowerCase()
    if (key === 'vary') res.setHeader(name, joinedVary(res.getHeader('vary'), value))
    else if (!(key.startsWith('access-control-') && res.hasHeader(name))) {
      res.setHeader(name, value as string | string[])
    }
  }
  res.setHeader('Date', new Date(createdAt).toUTCString())
  res.setHeader('Age', Math.max(0, Math.floor((now - createdAt) / 1000)))
  const etag = valuesOf(head.headers, 'etag')[0]
  const lastModified = valuesOf(head.headers, 'last-modified')[0]
  if (head.status === 200 && notModified(req.headers, { etag, lastModified })) {
    res.statusCode = 304
    for (const name of ['Content-Length', 'Content-Encoding', 'Content-Type']) res.removeHeader(name)
    res.end()
    return
  }
  res.statusCode = head.status
  if (head.status !== 204) res.setHeader('Content-Length', body.length)
  if (req.method === 'HEAD' || body.length === 0) res.end()
  else res.end(body)
}

function joinedVary(present: number | string | string[] | undefined, stored: string | readonly string[]): string {
  const values = [present, stored].flat().filter((value) => value !== undefined)
  const names = parseVary(values.map(String))
  return names === '*' ? '*' : values.length === 1 ? String(values[0]) : names.join(', ')
}
