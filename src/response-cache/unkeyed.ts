import type { IncomingMessage } from 'node:http'
import type { RedisManager } from '../redis/index.js'
import { readsOf } from './reads.js'
import type { TrustProxy } from './target.js'

/** Not what an answer is made of: how the message is framed, what this cache answers itself, and what names one request. */
const ABOUT_THE_MESSAGE: ReadonlySet<string> = new Set([
  ...['host', 'connection', 'keep-alive', 'te', 'expect', 'upgrade', 'transfer-encoding'],
  ...['content-length', 'content-type', 'cache-control', 'pragma', 'range'],
  ...['if-match', 'if-none-match', 'if-modified-since', 'if-unmodified-since', 'if-range'],
  ...['x-request-id', 'x-correlation-id', 'request-id', 'traceparent', 'tracestate', 'baggage'],
])
/** Part of the key where the proxy that sends them is trusted. */
const FORWARDED: readonly string[] = ['x-forwarded-host', 'x-forwarded-proto']
/** Where they are sent, only what says `public` is stored. */
const CREDENTIALS: readonly string[] = ['cookie', 'authorization']

const MAX_TOLD = 100

/** Express' part of a request, as far as it is needed here. */
interface Routed extends IncomingMessage {
  readonly app?: { get(name: string): unknown }
  readonly baseUrl?: string
  readonly route?: { readonly path?: unknown }
}

/**
 * For development: tells once per route which request headers a stored answer may have been made of though neither its
 * key nor its Vary names them.
 */
export class UnkeyedHeaders {
  readonly #redis: RedisManager
  readonly #told = new Set<string>()
  readonly #ofKey = new WeakMap<IncomingMessage, ReadonlySet<string>>()

  constructor(redis: RedisManager) {
    this.#redis = redis
  }

  /** Runs `key`, and remembers which headers it reads: they are part of the key. */
  during<Req extends IncomingMessage, Key>(req: Req, key: (req: Req) => Key): Key {
    const reads = readsOf(req)
    this.#ofKey.set(req, reads.names)
    let pending = false
    try {
      const made = key(req)
      pending = made instanceof Promise
      if (made instanceof Promise) made.then(reads.end, reads.end)
      return made
    } finally {
      if (!pending) reads.end()
    }
  }

  /** To be called with what the handler has read, and the names its answer varies by. */
  watcher(req: IncomingMessage, publicOnly: boolean): (read: ReadonlySet<string>, names: readonly string[]) => void {
    return (read, names) => {
      const keyed = new Set([...names, ...(this.#ofKey.get(req) ?? []), ...(publicOnly ? CREDENTIALS : [])])
      if (isTrusted(req)) for (const name of FORWARDED) keyed.add(name)
      const unkeyed = [...read].filter((name) => !keyed.has(name) && !ABOUT_THE_MESSAGE.has(name))
      if (unkeyed.length > 0) this.#tell(routeOf(req), unkeyed)
    }
  }

  #tell(route: string, names: readonly string[]): void {
    if (this.#told.has(route) || this.#told.size >= MAX_TOLD) return
    this.#told.add(route)
    const list = names.map((name) => name.slice(0, 60)).join(', ')
    this.#redis.warn(
      `HOLDFAST_UNKEYED_HEADER ${route}`,
      `${route} was stored though its handler reads ${list} of the request: all who ask for that URL are given the same. ` +
        'Name it in Vary or make it part of "key"; told once per route, and not in production',
    )
  }
}

function isTrusted(req: Routed): boolean {
  const trusts = req.app?.get('trust proxy fn') as TrustProxy | undefined
  return trusts?.(req.socket.remoteAddress, 0) === true
}

function routeOf({ baseUrl = '', route }: Routed): string {
  const path = `${baseUrl}${typeof route?.path === 'string' ? route.path : ''}`
  return path === '' ? '/' : path.slice(0, 100)
}
