import type { IncomingMessage } from 'node:http'

const MAX_ENTRIES = 5000
const MAX_URL = 2048

/** What is known of requests by method, host and URL, to the letter: Express takes equal ones the same way. */
export class Table<Value> {
  readonly #methods = new Map<string, Map<string, Map<string, Value>>>()
  #size = 0

  /** Allocates nothing. */
  get({ method = '', headers, url = '' }: IncomingMessage): Value | undefined {
    return this.#methods
      .get(method)
      ?.get(headers.host ?? '')
      ?.get(url)
  }

  set(method: string, host: string, url: string, value: Value): void {
    if (url.length > MAX_URL || host.length > MAX_URL) return
    if (this.#size >= MAX_ENTRIES) this.clear()
    const hosts = inner(this.#methods, method)
    const urls = inner(hosts, host)
    if (!urls.has(url)) this.#size++
    urls.set(url, value)
  }

  clear(): void {
    this.#methods.clear()
    this.#size = 0
  }
}

function inner<Value>(map: Map<string, Map<string, Value>>, key: string): Map<string, Value> {
  let found = map.get(key)
  if (found === undefined) {
    found = new Map()
    map.set(key, found)
  }
  return found
}
