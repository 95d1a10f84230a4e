import type { IncomingMessage, ServerResponse } from 'node:http'
import { normaliseAddress } from '../../shared/address.js'
import { type Awaitable, isPromise } from '../../shared/awaitable.js'
import { ConfigurationError } from '../../shared/errors.js'
import { show } from '../../shared/options.js'
import type { ExpressApplication } from '../prototypes.js'
import { areAsSent, type Circumstances, circumstancesOf, holdFor, overrides } from './circumstances.js'
import { type Answering, laneOf, type Refuse, type Refuser, type TrustProxy } from './seams.js'
import { staticHead } from './static-headers.js'
import { Table } from './table.js'
import { Traces } from './traces.js'

interface Hit extends Circumstances {
  readonly cache: Answering
}

interface Refused extends Circumstances {
  readonly by: Refuser
}

/** A request as Express' router has it. */
interface Routed extends IncomingMessage {
  readonly originalUrl?: string
  readonly baseUrl?: string
}

/**
 * Answers before Express what needs nothing of it. It learns from Express what that is: a request is answered here only
 * after an equal one (method, host and URL to the letter) was answered by the same middleware in Express, with nothing
 * in front of it that has left a trace but static headers. On any doubt the request is Express'.
 */
export class FrontLane {
  readonly #app: ExpressApplication
  readonly #refusers: Refuser[] = []
  readonly #hits = new Table<Hit>()
  readonly #refused = new Table<Refused>()
  readonly #traces = new Traces()
  /** The URLs of requests that went to Express, which may rewrite `originalUrl` as well. */
  readonly #sent = new WeakMap<IncomingMessage, string | undefined>()
  /** Express' own getter of the address asks this instead of a request. */
  readonly #standIn: { headers: unknown; socket: unknown; readonly ip?: string }

  constructor(app: ExpressApplication, middlewares: readonly object[]) {
    this.#app = app
    this.#standIn = Object.create(app.request)
    for (const middleware of middlewares) this.#add(middleware)
  }

  /** True where the request has been answered. A promise of it where Redis is asked first. */
  answers(req: IncomingMessage, res: ServerResponse): Awaitable<boolean> {
    try {
      const answered = this.#answers(req, res)
      if (!isPromise(answered)) return answered || this.#passOn(req)
      return answered.then(
        (done) => done || this.#passOn(req),
        () => leave(res),
      )
    } catch {
      // Functions of the application are asked, such as its `trust proxy`: what they throw is an error of the request,
      // and here it would be one of the process.
      return leave(res)
    }
  }

  #answers(req: IncomingMessage, res: ServerResponse): Awaitable<boolean> {
    this.#traces.begin(req, res)
    const trusts = this.#app.get('trust proxy fn') as TrustProxy
    if (this.#refusers.length > 0) {
      const address = this.#addressOf(req, trusts)
      for (const refuser of this.#refusers) {
        const refuse = refuser.find(req, address)
        if (refuse !== undefined) return this.#refuse(req, res, trusts, refuser, refuse)
      }
    }
    const hit = this.#hits.get(req)
    return hit !== undefined && holdFor(req, trusts, hit) && hit.cache.answer(req, res, trusts, hit.head)
  }

  #passOn(req: IncomingMessage): false {
    this.#sent.set(req, req.url)
    return false
  }

  #add(middleware: object): void {
    const lane = laneOf(middleware)
    if (lane.kind === 'none') {
      const what = typeof middleware === 'function' && middleware.name !== '' ? middleware.name : show(middleware)
      throw new ConfigurationError('createServer', 'front', `cannot have ${what}: ${lane.why}`)
    }
    if (lane.kind === 'refuser') this.#refusers.push(lane.refuser)
    else lane.cache.watch((req, res, status) => this.#learnHit(req, res, status, lane.cache))
  }

  #refuse(req: IncomingMessage, res: ServerResponse, trusts: TrustProxy, refuser: Refuser, refuse: Refuse): boolean {
    const known = this.#refused.get(req)
    if (known?.by === refuser && holdFor(req, trusts, known)) {
      refuse(res, known.head)
      return true
    }
    const { method = '', url = '' } = req
    res.once('finish', () => {
      try {
        this.#learnRefusal(req, res, { refuser, method, url })
      } catch {
        // As in `answers`. Here nobody else would catch it.
      }
    })
    return false
  }

  #learnHit(req: Routed, res: ServerResponse, status: number, cache: Answering): void {
    const { method, originalUrl, baseUrl = '', url = '' } = req
    // A middleware in front that has rewritten the URL may have done so for this request alone.
    if (originalUrl === undefined || baseUrl + url !== originalUrl || this.#sent.get(req) !== originalUrl) return
    const guards = this.#refusers.filter(({ leaves }) => leaves !== undefined && leaves in req)
    // Who asks for what is not there is of interest to them.
    if (guards.some((guard) => status >= 400 || guard.watches(originalUrl))) return
    const left = guards.map(({ leaves }) => leaves)
    if (!this.#isPlain(req, res, left, guards.length)) return
    const head = staticHead(res)
    if (head === undefined || (method !== 'GET' && method !== 'HEAD')) return
    const circumstances = circumstancesOf(req, head, this.#app.get('trust proxy fn') as TrustProxy)
    if (circumstances === undefined) return
    this.#hits.set(method, req.headers.host ?? '', originalUrl, { cache, ...circumstances })
  }

  /** Express has answered a caller who was known to be refused: by whom, and with nothing done in front of it? */
  #learnRefusal(
    req: Routed,
    res: ServerResponse,
    { refuser, method, url }: { refuser: Refuser; method: string; url: string },
  ): void {
    if (res.statusCode !== 429 || req.method !== method || req.originalUrl !== url || !refuser.hasRefused(req)) return
    // Node has taken its own listeners off the request by now.
    if (!this.#isPlain(req, res, ['rateLimit', '_eventsCount', refuser.leaves], 0)) return
    const head = staticHead(res, (name) => refuser.sets.test(name))
    if (head === undefined) return
    const circumstances = circumstancesOf(req, head, this.#app.get('trust proxy fn') as TrustProxy)
    if (circumstances === undefined) return
    this.#refused.set(method, req.headers.host ?? '', url, { by: refuser, ...circumstances })
  }

  #isPlain(req: IncomingMessage, res: ServerResponse, left: readonly (string | undefined)[], listens: number): boolean {
    // A mounted application has settings and middlewares of its own.
    return (
      Object.getPrototypeOf(req) === this.#app.request &&
      !overrides(req) &&
      this.#traces.none(req, res, left, listens) &&
      areAsSent(req)
    )
  }

  #addressOf(req: IncomingMessage, trusts: TrustProxy): string | undefined {
    const { remoteAddress } = req.socket
    // An application may have found another way to an address: `Object.defineProperty(app.request, 'ip', …)`.
    const isOwn = Object.hasOwn(this.#app.request, 'ip')
    if (!isOwn && !trusts(remoteAddress, 0)) return normaliseAddress(remoteAddress)
    this.#standIn.headers = req.headers
    this.#standIn.socket = req.socket
    const { ip } = this.#standIn
    this.#standIn.socket = undefined
    return normaliseAddress(ip)
  }
}

/** Express takes the response as it was made, unless it has been sent, which is to be said. */
function leave(res: ServerResponse): boolean {
  if (res.headersSent) return true
  for (const name of res.getHeaderNames()) res.removeHeader(name)
  res.statusCode = 200
  res.statusMessage = ''
  return false
}
