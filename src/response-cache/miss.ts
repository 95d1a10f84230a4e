import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Snapshot } from '../cache/store.js'
import type { Forward } from './cache-status.js'
import { type CaptureHooks, capture, type Head } from './capture.js'
import type { Settle } from './coalescing.js'
import { notModified } from './conditional.js'
import type { ResponseCacheOutcome } from './events.js'
import type { Found } from './found.js'
import { type HeaderList, removedHeaders, storedHeaders, updatedHeaders, valuesOf } from './headers.js'
import { labelsOf } from './labels.js'
import type { Mark } from './marks.js'
import type { HeadFacts, Keeping, Refusal, Storing } from './policy.js'
import { joinedVary, prepare } from './prepared.js'
import { hideQuery, type KeyedParameter } from './query.js'
import { readsOf } from './reads.js'
import { prepareReplay } from './replay.js'
import type { Responses } from './responses.js'
import { standsIn } from './reuse.js'
import { alreadySet } from './sent.js'
import { hideConditions, isValidatable } from './validation.js'
import { parseVary } from './vary.js'

export interface Miss {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly responses: Responses
  readonly resource: string
  readonly names: readonly string[]
  readonly snapshot: Snapshot
  /** A stored response that the handler may confirm or that may stand in for its failure. */
  readonly candidate: Found | undefined
  readonly fwd: Forward
  readonly maxBytes: number
  readonly age: boolean
  readonly mark: Mark
  readonly decide: (facts: HeadFacts) => Storing
  /** The response is for whom the caller's key says, which caches in front of this one do not know. */
  readonly keyed: boolean
  /** Parameters that the handler is shown. */
  readonly parameter: KeyedParameter | undefined
  /** In development: the headers that the handler has read before it made what is stored, and those it varies by. */
  readonly onRead: ((read: ReadonlySet<string>, names: readonly string[]) => void) | undefined
  readonly isSuperseded: () => boolean
  /** Called as soon as it is known that nothing will be stored, or once it has been. */
  readonly onSettled: Settle
  readonly report: (outcome: ResponseCacheOutcome) => void
}

/** Lets the handler answer, and keeps what it answers. To be called before the handler. */
export function watchMiss(miss: Miss): void {
  const { req, res, responses, resource, names, snapshot, candidate, fwd, mark, report } = miss
  const requestHeaders = { ...req.headers }
  const before = alreadySet(res)
  const showConditions = hideConditions(req, candidate?.head)
  const showQuery = miss.parameter === undefined ? undefined : hideQuery(req, miss.parameter)
  const reads = miss.onRead === undefined ? undefined : readsOf(req)
  let keeping: Keeping | undefined
  let kept: HeaderList = []
  let replaced = false
  let reported = false

  function tell(outcome: ResponseCacheOutcome): void {
    if (!reported) report(outcome)
    reported = true
  }

  function save(
    head: Head,
    headers: HeaderList,
    { body, keep, removed }: { body: Buffer; keep: Keeping; removed: readonly string[] },
  ): void {
    const { status } = head
    // Not awaited: the client has its answer, and the next read on this connection comes after the write.
    void responses
      .save(
        { resource, requestHeaders, head, kept: headers, removed, body, keeping: keep, names },
        snapshot,
        Date.now(),
      )
      .then((stored) => {
        miss.onSettled(undefined, stored)
        tell(
          stored
            ? { outcome: 'miss', stored, status, bytes: body.length }
            : { outcome: 'miss', stored, reason: 'unavailable' },
        )
      })
  }

  function answerWith(found: Found, headers: HeaderList, birth: number, now: number): Buffer | undefined {
    for (const name of res.getHeaderNames()) {
      if (!before.has(name) && !KEPT.has(name)) res.removeHeader(name)
    }
    const { status, removed, encodings } = found.head
    const prepared =
      headers === found.head.headers ? found.prepared : prepare(headers, removed, encodings !== undefined)
    return prepareReplay(res, {
      ...{ method: req.method, requestHeaders, status, prepared, body: found.body, birth, now, age: miss.age },
    })
  }

  function confirmed(found: Found, head: Head, now: number): ReturnType<CaptureHooks['onHead']> {
    const { status } = found.head
    const headers = updatedHeaders(withoutOurs(found.head.headers), storedHeaders(head.headers, before))
    const tags = labelsOf(head.headers)
    const verdict = miss.decide({ status, headers: [...headers, ...tags], kept: headers, now })
    const birth = verdict.store ? verdict.birth : now
    const sent = verdict.store ? forWhom(headers) : headers
    const { removed = [] } = found.head
    replaced = true
    if (verdict.store)
      save({ status, headers: [...headers, ...tags] }, sent, { body: found.body, keep: verdict, removed })
    else settle(verdict.reason)
    return {
      replace: () => {
        const body = answerWith(found, sent, birth, now)
        mark(res, 'REVALIDATED', { fwd, fwdStatus: 304, stored: verdict.store, ...why(verdict) })
        return body
      },
    }
  }

  function settle(reason: Refusal): void {
    miss.onSettled(reason)
    tell({ outcome: 'miss', stored: false, reason })
  }

  function forWhom(headers: HeaderList): HeaderList {
    return miss.keyed && valuesOf(headers, 'cache-control').length === 0 ? [...headers, OURS] : headers
  }

  const onHead: CaptureHooks['onHead'] = (head) => {
    const { status, headers } = head
    const now = Date.now()
    if (candidate !== undefined && status === 304 && isValidatable(candidate.head))
      return confirmed(candidate, head, now)
    if (candidate !== undefined && standsIn(candidate, status, now)) {
      replaced = true
      settle('status')
      return {
        replace: () => {
          const body = answerWith(candidate, candidate.head.headers, candidate.birth, now)
          mark(res, 'STALE', { hit: true, ttl: (candidate.freshUntil - now) / 1000, detail: 'stale-if-error' })
          return body
        },
      }
    }
    kept = storedHeaders(headers, before)
    const verdict = miss.decide({ status, headers, kept, now })
    reads?.end()
    if (verdict.store) {
      if (reads !== undefined) miss.onRead?.(reads.names, [...names, ...varied(headers)])
      if (forWhom(headers) !== headers) {
        res.setHeader(...OURS)
        kept = [...kept, OURS]
      }
      if (responses.divides(head)) res.setHeader('Vary', joinedVary(res.getHeader('vary'), ['Accept-Encoding']))
    }
    // A cache mounted further in has said how the request went.
    if (!miss.isSuperseded()) mark(res, 'MISS', { fwd, stored: verdict.store, ...why(verdict) })
    if (verdict.store) keeping = verdict
    else miss.onSettled(verdict.reason)
    const etag = valuesOf(headers, 'etag')[0]
    const lastModified = valuesOf(headers, 'last-modified')[0]
    if (status === 200 && notModified(requestHeaders, { etag, lastModified })) return 'not-modified'
    return verdict.store ? 'capture' : verdict.reason
  }

  capture(res, {
    maxBytes: miss.maxBytes,
    mayReplace: candidate !== undefined,
    onHead,
    onAbandoned: () => settle('aborted'),
    onDone: (result) => {
      reads?.end()
      showConditions()
      showQuery?.()
      if (replaced) return
      const refused = 'refused' in result ? result.refused : miss.isSuperseded() ? 'superseded' : undefined
      if (refused !== undefined || !('head' in result) || keeping === undefined) return settle(refused ?? 'no-lifetime')
      const { head, body } = result
      save(head, kept, { body, keep: keeping, removed: removedHeaders(head.headers, before) })
    },
  })
}

/** What caches in front of this one are told of a response that is for one caller and says nothing itself. */
const OURS: [name: string, value: string] = ['Cache-Control', 'private']

/** A response that says so itself was not stored, unless its route overrides that. */
function withoutOurs(headers: HeaderList): HeaderList {
  return headers.filter(([name, value]) => !(name === OURS[0] && value === OURS[1]))
}

function varied(headers: HeaderList): readonly string[] {
  const vary = parseVary(valuesOf(headers, 'vary'))
  return vary === '*' ? [] : vary
}

/** Set for this very answer, whoever made its body. */
const KEPT: ReadonlySet<string> = new Set(['set-cookie', 'x-cache', 'cache-status'])

function why(verdict: Storing): { detail?: string } {
  return verdict.store ? {} : { detail: verdict.reason }
}
