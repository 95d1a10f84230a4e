import type { IncomingMessage, OutgoingHttpHeader, ServerResponse } from 'node:http'
import type { Plan } from './asked.js'
import type { Encoder } from './encoder.js'
import type { ResponseCacheOutcome } from './events.js'
import type { Found, Lookup, Resource } from './found.js'
import type { Mark } from './marks.js'
import { FlatHead } from './outgoing.js'
import { prepareReplay } from './replay.js'
import type { Responses } from './responses.js'
import { reuse } from './reuse.js'

export interface HitOptions {
  readonly responses: Responses
  readonly mark: Mark
  /** `Age` is sent. */
  readonly age: boolean
  /** Where bodies are kept in encodings. */
  readonly encoder: Encoder | undefined
  readonly report: (outcome: ResponseCacheOutcome) => void
}

/** What stands before a response that nobody in Express sees: names and values in turn. */
export type Front = readonly OutgoingHttpHeader[]

/** Told of a hit in Express, and the status that was stored, before anything of it is on the response. */
export type Watcher = (req: IncomingMessage, res: ServerResponse, status: number) => void

/** Answers with stored responses. Knows of no Express: everything is asked of, and done to, what Node made. */
export class Hits {
  readonly watchers: Watcher[] = []
  readonly #options: HitOptions

  constructor(options: HitOptions) {
    this.#options = options
  }

  /** Answers at once with a copy in this process; false where there is none that may be used, and nothing was done. */
  answer(req: IncomingMessage, res: ServerResponse, resource: Resource, plan: Plan, front?: Front): boolean {
    const now = Date.now()
    const found = this.#options.responses.peek(resource, req.headers, now)
    return found !== undefined && this.use(req, res, found, plan, now, front)
  }

  /** As {@link answer}, with what was found. */
  use(req: IncomingMessage, res: ServerResponse, found: Lookup, plan: Plan, now: number, front?: Front): boolean {
    if (!mayUse(found, plan)) return false
    const use = reuse(found, plan.asked, now)
    if (use !== 'fresh' && use !== 'stale') return false
    this.send(req, res, found, now, false, front)
    return true
  }

  send(req: IncomingMessage, res: ServerResponse, found: Found, now: number, collapsed: boolean, front?: Front): void {
    if (front === undefined) for (const watcher of this.watchers) watcher(req, res, found.head.status)
    const { mark, report, age, encoder } = this.#options
    const { method, headers: requestHeaders } = req
    const { head, birth, freshUntil } = found
    const { prepared, body, text } = encoder === undefined ? found : encoder.choose(found, requestHeaders, now)
    const { status } = head
    const outgoing = front === undefined ? res : new FlatHead(front)
    mark(outgoing, freshUntil > now ? 'HIT' : 'STALE', { hit: true, ttl: (freshUntil - now) / 1000, collapsed })
    report({ outcome: 'hit', ageMs: now - birth, status, bytes: body.length })
    const bytes = prepareReplay(outgoing, { method, requestHeaders, status, prepared, body, birth, now, age })
    if (outgoing instanceof FlatHead) res.writeHead(outgoing.statusCode, outgoing.list)
    if (bytes === undefined) res.end()
    else if (bytes === body && text !== undefined) res.end(text, 'latin1')
    else res.end(bytes)
  }
}

/** Whether a stored response is for whoever sent a request. */
export function mayUse(found: Lookup, { publicOnly, authorized }: Plan): found is Found {
  return (
    found.state === 'hit' && (!publicOnly || found.head.isPublic || (!authorized && found.names.includes('cookie')))
  )
}
