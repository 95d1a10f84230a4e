import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Snapshot } from '../cache/store.js'
import type { Forward } from './cache-status.js'
import { type CaptureHooks, capture, type Head } from './capture.js'
import { notModified } from './conditional.js'
import type { ResponseCacheOutcome } from './events.js'
import { storedHeaders, updatedHeaders, valuesOf } from './headers.js'
import type { Mark } from './marks.js'
import type { Keeping, Refusal, ResponseFacts, Storing } from './policy.js'
import { prepare } from './prepared.js'
import { prepareReplay } from './replay.js'
import type { Found, Responses } from './responses.js'
import { standsIn } from './reuse.js'

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
  readonly decide: (facts: Pick<ResponseFacts, 'status' | 'headers' | 'kept' | 'now'>) => Storing
  readonly isSuperseded: () => boolean
  /** Called as soon as it is known that nothing will be stored, or once it has been. */
  readonly onSettled: (refused: Refusal | undefined) => void
  readonly report: (outcome: ResponseCacheOutcome) => void
}

/** Lets the handler answer, and keeps what it answers. To be called before the handler. */
export function watchMiss(miss: Miss): void {
  const { req, res, responses, resource, names, snapshot, candidate, fwd, mark, report } = miss
  const requestHeaders = { ...req.headers }
  const before = new Map(Object.entries(res.getHeaders()).map(([name, value]) => [name, String(value)]))
  const restore = hideConditions(req, candidate)
  let keeping: Keeping | undefined
  let replaced: 'revalidated' | 'stale' | undefined

  function save(head: Head, kept: Found['head']['headers'], body: Buffer, keep: Keeping): void {
    const { status } = head
    // Not awaited: the client has its answer, and the next read on this connection comes after the write.
    void responses
      .save({ resource, requestHeaders, head, kept, body, keeping: keep, names }, snapshot, Date.now())
      .then((stored) => {
        miss.onSettled(undefined)
        report(
          stored
            ? { outcome: 'miss', stored, status, bytes: body.length }
            : { outcome: 'miss', stored, reason: 'unavailable' },
        )
      })
  }

  function answerWith(found: Found, headers: Found['head']['headers'], birth: number, now: number): Buffer | undefined {
    for (const name of res.getHeaderNames()) {
      if (!before.has(name) && !KEPT.has(name)) res.removeHeader(name)
    }
    const { status } = found.head
    const prepared = headers === found.head.headers ? found.prepared : prepare(headers)
    return prepareReplay(res, {
      ...{ method: req.method, requestHeaders, status, prepared, body: found.body, birth, now, age: miss.age },
    })
  }

  function confirmed(found: Found, head: Head, now: number): ReturnType<CaptureHooks['onHead']> {
    const { status } = found.head
    const headers = updatedHeaders(found.head.headers, storedHeaders(head.headers, before))
    const tags = head.headers.filter(([name]) => TAGS.has(name.toLowerCase()))
    const verdict = miss.decide({ status, headers: [...headers, ...tags], kept: headers, now })
    const birth = verdict.store ? verdict.birth : now
    replaced = 'revalidated'
    if (verdict.store) save({ status, headers: [...headers, ...tags] }, headers, found.body, verdict)
    else settle(verdict.reason)
    return {
      replace: () => {
        const body = answerWith(found, headers, birth, now)
        mark(res, 'REVALIDATED', { fwd, fwdStatus: 304, stored: verdict.store, ...why(verdict) })
        return body
      },
    }
  }

  function settle(reason: Refusal): void {
    miss.onSettled(reason)
    report({ outcome: 'miss', stored: false, reason })
  }

  const onHead: CaptureHooks['onHead'] = (head) => {
    const { status, headers } = head
    const now = Date.now()
    if (candidate !== undefined && status === 304 && hasValidator(candidate)) return confirmed(candidate, head, now)
    if (candidate !== undefined && standsIn(candidate, status, now)) {
      replaced = 'stale'
      settle('status')
      return {
        replace: () => {
          const body = answerWith(candidate, candidate.head.headers, candidate.birth, now)
          mark(res, 'STALE', { hit: true, ttl: (candidate.freshUntil - now) / 1000, detail: 'stale-if-error' })
          return body
        },
      }
    }
    const kept = storedHeaders(headers, before)
    const verdict = miss.decide({ status, headers, kept, now })
    for (const name of TAGS) res.removeHeader(name)
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
    onDone: (result) => {
      restore()
      if (replaced !== undefined) return
      const refused = 'refused' in result ? result.refused : miss.isSuperseded() ? 'superseded' : undefined
      if (refused !== undefined || !('head' in result) || keeping === undefined) return settle(refused ?? 'no-lifetime')
      const { head, body } = result
      save(head, storedHeaders(head.headers, before), body, keeping)
    },
  })
}

/** Set for this very answer, whoever made its body. */
const KEPT: ReadonlySet<string> = new Set(['set-cookie', 'x-cache', 'cache-status'])
const TAGS: ReadonlySet<string> = new Set(['surrogate-key', 'cache-tag'])

function why(verdict: Storing): { detail?: string } {
  return verdict.store ? {} : { detail: verdict.reason }
}

function validatorsOf({ head }: Found): { etag: string | undefined; lastModified: string | undefined } {
  return {
    etag: head.ownEtag ? undefined : valuesOf(head.headers, 'etag')[0],
    lastModified: valuesOf(head.headers, 'last-modified')[0],
  }
}

function hasValidator(found: Found): boolean {
  const { etag, lastModified } = validatorsOf(found)
  return etag !== undefined || lastModified !== undefined
}

const CONDITIONS = ['if-none-match', 'if-modified-since', 'if-range'] as const

/**
 * The handler is to make a whole response for everyone, or to confirm the stored one (RFC 9111 §4.3.1); whether this
 * client has it already is ours to say.
 */
function hideConditions(req: IncomingMessage, candidate: Found | undefined): () => void {
  const hidden = CONDITIONS.map((name) => [name, req.headers[name]] as const)
  const { etag, lastModified } = candidate === undefined ? {} : (validatorsOf(candidate) as Record<string, string>)
  const set = (name: string, value: string | undefined): void => {
    if (value === undefined) delete req.headers[name]
    else req.headers[name] = value
  }
  for (const [name] of hidden) set(name, undefined)
  set('if-none-match', etag)
  set('if-modified-since', lastModified)
  return () => {
    for (const [name, value] of hidden) set(name, value as string | undefined)
  }
}
