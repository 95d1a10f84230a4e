import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Awaitable } from '../../shared/awaitable.js'
import { rateLimitSeam, responseCacheSeam, securitySeam } from '../../shared/seams.js'

/** Whether an address is a proxy whose word counts: what Express makes of `trust proxy`. */
export type TrustProxy = (address: string | undefined, hop: number) => boolean

/** Of a response cache. */
export interface Answering {
  readonly ineligible: string | undefined
  watch(watcher: (req: IncomingMessage, res: ServerResponse, status: number) => void): void
  answer(req: IncomingMessage, res: ServerResponse, trusts: TrustProxy, head: readonly string[]): Awaitable<boolean>
}

/** A whole refusal. */
export interface Refusal {
  readonly status: number
  readonly head: Readonly<Record<string, string | number>>
  readonly body: Buffer
}

/** Of a limiter. */
interface Limiting {
  readonly ineligible: string | undefined
  isBlocked(req: IncomingMessage, address: string | undefined): Refusal | undefined
  hasAnswered(address: string | undefined): void
  hasRefused(req: object): boolean
}

/** Of a security log. */
interface Guarding {
  isTrap(path: string): boolean
  blockedFor(address: string | undefined): number | undefined
  refuse(res: ServerResponse, retryAfterMs: number): void
}

/** Sends a refusal; `head` stands before it: names and values in turn. */
export type Refuse = (res: ServerResponse, head: readonly string[]) => void

/** Knows callers who are refused, without asking anybody. */
export interface Refuser {
  /** What to answer, or `undefined` where the caller is not known to be refused. */
  find(req: IncomingMessage, address: string | undefined): Refuse | undefined
  /** Whether it was this middleware that refused a request in Express. */
  hasRefused(req: object): boolean
  /** Whether it has to see every request for a URL that it lets pass. */
  watches(url: string): boolean
  /** It stands in front of what it lets pass, watches the response, and leaves this on the request. */
  readonly leaves: string | undefined
  /** Names of what is its own in the head of a refusal; what else is there was set in front of it. */
  readonly sets: RegExp
}

export type Lane =
  | { readonly kind: 'cache'; readonly cache: Answering }
  | { readonly kind: 'refuser'; readonly refuser: Refuser }
  /** Why it can answer nothing here. */
  | { readonly kind: 'none'; readonly why: string }

interface Seams {
  readonly [responseCacheSeam]?: Answering
  readonly [rateLimitSeam]?: Limiting
  readonly [securitySeam]?: Guarding
}

export function laneOf(middleware: object): Lane {
  const { [responseCacheSeam]: cache, [rateLimitSeam]: limiter, [securitySeam]: security } = middleware as Seams
  const why = (cache ?? limiter)?.ineligible
  if (why !== undefined) return { kind: 'none', why }
  if (cache !== undefined) return { kind: 'cache', cache }
  if (limiter !== undefined) return { kind: 'refuser', refuser: refuserOf(limiter) }
  if (security !== undefined) return { kind: 'refuser', refuser: guardOf(security) }
  return { kind: 'none', why: 'it is no response cache, limiter or security log of this package' }
}

function refuserOf(limiter: Limiting): Refuser {
  return {
    leaves: undefined,
    sets: /^(?:ratelimit|x-ratelimit-|retry-after$|content-type$|content-length$)/,
    find(req, address) {
      const refusal = limiter.isBlocked(req, address)
      if (refusal === undefined) return undefined
      return (res, head) => {
        limiter.hasAnswered(address)
        const list: (string | number)[] = head.slice()
        for (const name in refusal.head) list.push(name, refusal.head[name] as string | number)
        res.writeHead(refusal.status, list)
        res.end(refusal.body)
      }
    },
    hasRefused: (req) => limiter.hasRefused(req),
    watches: () => false,
  }
}

function guardOf(security: Guarding): Refuser {
  return {
    leaves: 'security',
    sets: /^(?:retry-after$|content-type$|content-length$|cache-control$)/,
    find({ url = '' }, address) {
      const left = security.blockedFor(address)
      if (left === undefined || isTrap(url)) return undefined
      return (res, head) => {
        for (let at = 0; at < head.length; at += 2) res.setHeader(head[at] as string, head[at + 1] as string)
        security.refuse(res, left)
      }
    },
    hasRefused: (req) => 'security' in req && !('rateLimit' in req),
    watches: isTrap,
  }

  function isTrap(url: string): boolean {
    const end = url.indexOf('?')
    return security.isTrap(end < 0 ? url : url.slice(0, end))
  }
}
