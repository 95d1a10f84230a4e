import type { IncomingMessage } from 'node:http'
import type { TLSSocket } from 'node:tls'

/** Whether an address is a proxy whose word counts: what Express makes of `trust proxy`. */
export type TrustProxy = (address: string | undefined, hop: number) => boolean

/** What a request asks for. */
export interface Target {
  readonly protocol: string
  /** As the client or a trusted proxy wrote it; see {@link authorityOf}. */
  readonly host: string
  /** Path and query as the client sent them. */
  readonly url: string
  /** Of the connection. */
  readonly localPort: number | undefined
}

/** Scheme and host as Express finds them: `X-Forwarded-Proto` and `-Host` only from a proxy that is trusted. */
export function targetOf(req: IncomingMessage, url: string, trusts: TrustProxy): Target {
  const { socket, headers } = req
  const { localPort } = socket
  const protocol = (socket as TLSSocket).encrypted === true ? 'https' : 'http'
  const { host = '' } = headers
  if (!trusts(socket.remoteAddress, 0)) return { protocol, host, url, localPort }
  const forwarded = headers['x-forwarded-host']
  return {
    protocol: first(String(headers['x-forwarded-proto'] || protocol)),
    host: (Array.isArray(forwarded) ? forwarded[0] : forwarded) || host,
    url,
    localPort,
  }
}

/** Host and port, in lower case: the first of several. */
export function authorityOf({ host }: Target): string {
  return first(host).toLowerCase()
}

function first(list: string): string {
  return (list.split(',')[0] as string).trim()
}
