import type { HeaderList } from './headers.js'
import { type Prepared, prepare } from './prepared.js'
import type { Division, StoredHead } from './stored.js'

export const PLAIN = 'identity'

/** A body with the head that it is sent with. */
export interface Sent {
  readonly prepared: Prepared
  readonly body: Buffer
  readonly text: string | undefined
}

/** One stored response by encoding; nothing in a body means that it is not worth that encoding. */
export type Encoded = ReadonlyMap<string, Sent>

interface Part {
  readonly encoding: string
  readonly bytes: number
  readonly prepared: Prepared
}

/** What of a stored body is where, and the heads that go with it: worked out once for all hits. */
export function partsOf({ headers, removed }: StoredHead, division: Division): readonly Part[] {
  return division.map(([encoding, bytes]) => {
    const own = encoding === PLAIN ? headers : encodedHeaders(headers, encoding)
    return { encoding, bytes, prepared: prepare(own, removed, true) }
  })
}

/** `undefined` where the bytes are not those that were divided. */
export function divided(body: Buffer, parts: readonly Part[]): Encoded | undefined {
  const encoded = new Map<string, Sent>()
  let at = 0
  for (const { encoding, bytes, prepared } of parts) {
    encoded.set(encoding, { prepared, body: body.subarray(at, at + bytes), text: undefined })
    at += bytes
  }
  return at === body.length ? encoded : undefined
}

/** Other bytes: no strong validator of the plain ones is theirs (RFC 9110 §8.8.3.3), and parts are those of the plain ones. */
function encodedHeaders(headers: HeaderList, encoding: string): HeaderList {
  const own = headers
    .filter(([name]) => name.toLowerCase() !== 'accept-ranges')
    .map((header): HeaderList[number] => {
      const [name, value] = header
      return name.toLowerCase() === 'etag' && !String(value).startsWith('W/') ? [name, `W/${value}`] : header
    })
  return [...own, ['Content-Encoding', encoding]]
}
