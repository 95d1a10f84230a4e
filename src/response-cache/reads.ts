import type { IncomingMessage } from 'node:http'

/** Request headers by their lower-case name, as they are read. */
export interface Reads {
  readonly names: ReadonlySet<string>
  /** The request has its own headers again. */
  end(): void
}

/** Which headers of a request are read one by one; whoever copies or prints them all makes no answer of them. */
export function readsOf(req: IncomingMessage): Reads {
  const { headers } = req
  const names = new Set<string>()
  const listed = new Set<PropertyKey>()
  req.headers = new Proxy(headers, {
    get(target, name) {
      if (!listed.delete(name) && typeof name === 'string' && Object.hasOwn(target, name)) names.add(name)
      return Reflect.get(target, name)
    },
    ownKeys(target) {
      const keys = Reflect.ownKeys(target)
      for (const key of keys) listed.add(key)
      return keys
    },
  })
  return {
    names,
    end() {
      req.headers = headers
    },
  }
}
