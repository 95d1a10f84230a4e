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

export function circumstancesOf(req: IncomingMessage, head: StaticHead, trusts: TrustProxy): Circumstances {
  const { headers, socket } = req
  return {
    head,
    encrypted: isEncrypted(req),
    trusted: trusts(socket.remoteAddress, 0),
    protocol: headers['x-forwarded-proto'],
    host: headers['x-forwarded-host'],
    anyOrigin: admitsAnyOrigin(head),
  }
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
