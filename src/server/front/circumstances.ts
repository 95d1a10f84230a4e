import type { IncomingMessage } from 'node:http'
import type { TLSSocket } from 'node:tls'
import type { TrustProxy } from './seams.js'
import { admitsAnyOrigin, type StaticHead } from './static-headers.js'

/** Under which a request was answered; one that comes under others is left to Express. */
export interface Circumstances {
  readonly head: StaticHead
  readonly encrypted: boolean
  readonly trusted: boolean
  readonly protocol: string | string[] | undefined
  readonly host: string | string[] | undefined
  readonly anyOrigin: boolean
}

/** `undefined` where they are too long to be remembered. */
export function circumstancesOf(req: IncomingMessage, head: StaticHead, trusts: TrustProxy): Circumstances | undefined {
  const { headers, socket } = req
  const { 'x-forwarded-proto': protocol = '', 'x-forwarded-host': host = '' } = headers
  if (protocol.length + host.length > LONGEST_FORWARDED) return undefined
  return {
    head,
    encrypted: isEncrypted(req),
    trusted: trusts(socket.remoteAddress, 0),
    protocol: headers['x-forwarded-proto'],
    host: headers['x-forwarded-host'],
    anyOrigin: admitsAnyOrigin(head),
  }
}

const LONGEST_FORWARDED = 512

/**
 * Whether the headers of a request are those that its client has sent. Where a middleware has set, replaced or taken
 * one away, the next request comes here with that of its client.
 */
export function areAsSent({ headers, rawHeaders }: IncomingMessage): boolean {
  const sent = new Map<string, string[]>()
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = (rawHeaders[at] as string).toLowerCase()
    const value = rawHeaders[at + 1] as string
    const values = sent.get(name)
    if (values === undefined) sent.set(name, [value])
    else values.push(value)
  }
  const present = Object.entries(headers)
  return present.length === sent.size && present.every(([name, value]) => isOf(sent.get(name), value))
}

/** Node takes the first of several values, or joins them. */
function isOf(sent: readonly string[] | undefined, value: string | readonly string[] | undefined): boolean {
  if (sent === undefined || value === undefined) return false
  if (typeof value !== 'string') return value.join() === sent.join()
  return value === sent[0] || value === sent.join(', ') || value === sent.join('; ')
}

/** Allocates nothing. */
export function holdFor(req: IncomingMessage, trusts: TrustProxy, known: Circumstances): boolean {
  const { headers, socket } = req
  return (
    (headers.origin === undefined || known.anyOrigin) &&
    headers['x-forwarded-proto'] === known.protocol &&
    headers['x-forwarded-host'] === known.host &&
    isEncrypted(req) === known.encrypted &&
    trusts(socket.remoteAddress, 0) === known.trusted &&
    !overrides(req)
  )
}

/** The method is another one than that of the request, to whoever looks. */
export function overrides({ headers }: IncomingMessage): boolean {
  return (
    headers['x-http-method-override'] !== undefined ||
    headers['x-http-method'] !== undefined ||
    headers['x-method-override'] !== undefined
  )
}

function isEncrypted({ socket }: IncomingMessage): boolean {
  return (socket as TLSSocket).encrypted === true
}
