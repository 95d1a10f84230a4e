import { rateLimitSeam, responseCacheSeam } from '../shared/seams.js'

type Next = (error?: unknown) => void

/** A limiter in two halves. What was started and is never applied is abandoned, which gives the points back. */
export interface Counting<Req, Res> {
  readonly early: boolean
  start(req: Req): unknown
  apply(started: unknown, req: Req, res: Res, next: Next): void
  abandon(started: unknown): void
}

/** What a middleware of ours can do before its turn. Found on the middleware itself: features do not know each other. */
export interface Ahead<Req, Res> {
  /** Begins its read, which nobody can see: neither in Redis nor on the request. Its turn may never come. */
  readonly read: ((req: Req) => void) | undefined
  readonly counting: Counting<Req, Res> | undefined
  /** It answers itself only where something is wrong: a limiter behind it may count meanwhile. */
  readonly passes: boolean
}

interface Reading<Req> {
  prefetch(req: Req): void
}

interface Marks<Req, Res> {
  /** `undefined` for a limiter that is only known to be one. */
  readonly [rateLimitSeam]?: Counting<Req, Res> | undefined
  readonly [responseCacheSeam]?: Reading<Req>
  /** Of session middlewares, with {@link sessions}. */
  readonly prefetch?: unknown
  readonly sessions?: unknown
}

/**
 * `undefined` for a middleware that is none of ours: it may change the request, so that nothing behind it can begin
 * before it has let the request pass.
 */
export function aheadOf<Req, Res>(middleware: object): Ahead<Req, Res> | undefined {
  const marks = middleware as Marks<Req, Res>
  if (rateLimitSeam in middleware) {
    const limiter = marks[rateLimitSeam]
    return { read: undefined, counting: limiter?.early === true ? limiter : undefined, passes: false }
  }
  const responses = marks[responseCacheSeam]
  if (responses !== undefined) {
    return { read: (req) => responses.prefetch(req), counting: undefined, passes: false }
  }
  if (typeof marks.prefetch !== 'function' || marks.sessions === undefined) return undefined
  const session = middleware as Reading<Req>
  return { read: (req) => session.prefetch(req), counting: undefined, passes: true }
}
