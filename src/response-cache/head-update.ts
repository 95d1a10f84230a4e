import type { ServerResponse } from 'node:http'
import type { Snapshot } from '../cache/store.js'
import type { Head } from './capture.js'
import type { Found } from './found.js'
import { storedHeaders, updatedHeaders, valuesOf } from './headers.js'
import { labelsOf } from './labels.js'
import type { HeadFacts, Storing } from './policy.js'
import type { Responses } from './responses.js'
import { alreadySet, headersOf } from './sent.js'

/** What an answer to HEAD says of a stored answer to GET. */
export type HeadVerdict = 'same' | 'other' | 'silent'

/** RFC 9111 §4.3.5. */
export function compareHead(
  { head: stored, body }: Pick<Found, 'head' | 'body'>,
  { status, headers }: Head,
): HeadVerdict {
  if (status !== 200 || stored.status !== 200) return 'silent'
  let agreed = false
  for (const name of ['etag', 'last-modified']) {
    const now = valuesOf(headers, name)[0]
    const then = name === 'etag' && stored.ownEtag ? undefined : valuesOf(stored.headers, name)[0]
    if (now === undefined || then === undefined) continue
    if (now !== then) return 'other'
    agreed = true
  }
  const length = valuesOf(headers, 'content-length')[0]
  const encoding = (list: Head['headers']): string => valuesOf(list, 'content-encoding').join()
  // Compression leaves answers to HEAD as they are: their length is that of another encoding.
  const comparable = length !== undefined && encoding(headers) === encoding(stored.headers)
  if (comparable && Number(length) !== body.length) return 'other'
  return agreed ? 'same' : 'silent'
}

export interface HeadUpdate {
  readonly res: ServerResponse
  readonly requestHeaders: Readonly<Record<string, string | string[] | undefined>>
  readonly responses: Responses
  readonly resource: string
  readonly found: Found
  /** From before the handler ran. */
  readonly snapshot: Snapshot
  readonly decide: (facts: HeadFacts) => Storing
}

/** Lets the answer to HEAD renew the head of the stored answer to GET, or remove what is another by now. */
export function updateFromHead(update: HeadUpdate): void {
  const { res, requestHeaders, responses, resource, found, snapshot, decide } = update
  const before = alreadySet(res)
  const { writeHead } = res
  res.writeHead = function (this: ServerResponse, status: number, ...rest: unknown[]) {
    const head: Head = { status, headers: headersOf(res, rest.at(-1)) }
    const verdict = res.headersSent ? 'silent' : compareHead(found, head)
    if (verdict === 'other') void responses.store.remove([found.key])
    else if (verdict === 'same') renew(head)
    return Reflect.apply(writeHead, res, [status, ...rest])
  } as ServerResponse['writeHead']

  function renew(head: Head): void {
    const now = Date.now()
    const kept = updatedHeaders(found.head.headers, storedHeaders(head.headers, before))
    const headers = [...kept, ...labelsOf(head.headers)]
    const keeping = decide({ status: 200, headers: [...headers, ...cookiesOf(head)], kept, now })
    if (!keeping.store) return
    const { body, names } = found
    void responses.save(
      {
        resource,
        requestHeaders,
        head: { status: 200, headers },
        kept,
        removed: found.head.removed ?? [],
        body,
        keeping,
        names,
      },
      snapshot,
      now,
    )
  }
}

/** With a cookie the answer is about its own client. */
function cookiesOf({ headers }: Head): Head['headers'] {
  return headers.filter(([name]) => name.toLowerCase() === 'set-cookie')
}
