import type { OutgoingHttpHeader } from 'node:http'

/** Status and headers of a response that is about to be sent: a `ServerResponse` is one. */
export interface Outgoing {
  statusCode: number
  getHeader(name: string): OutgoingHttpHeader | undefined
  hasHeader(name: string): boolean
  setHeader(name: string, value: string | number | readonly string[]): unknown
  removeHeader(name: string): void
}

/**
 * A head for one `writeHead`, which takes a list in a third of the time that Node needs for a `setHeader` each. For
 * responses that nobody else sees before they are sent: what is in the list is not found by `getHeader` afterwards.
 */
export class FlatHead implements Outgoing {
  statusCode = 200
  /** Names and values in turn. */
  readonly list: OutgoingHttpHeader[]

  constructor(list: readonly OutgoingHttpHeader[]) {
    this.list = list.slice()
  }

  getHeader(name: string): OutgoingHttpHeader | undefined {
    const at = this.#find(name)
    return at < 0 ? undefined : this.list[at + 1]
  }

  hasHeader(name: string): boolean {
    return this.#find(name) >= 0
  }

  setHeader(name: string, value: OutgoingHttpHeader): void {
    const at = this.#find(name)
    if (at < 0) this.list.push(name, value)
    else {
      this.list[at] = name
      this.list[at + 1] = value
    }
  }

  removeHeader(name: string): void {
    const at = this.#find(name)
    if (at >= 0) this.list.splice(at, 2)
  }

  #find(name: string): number {
    const { list } = this
    for (let at = 0; at < list.length; at += 2) {
      const each = list[at] as string
      if (each === name || (each.length === name.length && each.toLowerCase() === name.toLowerCase())) return at
    }
    return -1
  }
}
