import { request as httpRequest } from 'node:http'
import type { RequestHandler } from 'express'

const HOP_BY_HOP = new Set([
  ...['connection', 'keep-alive', 'proxy-authenticate', 'proxy-authentication-info', 'proxy-authorization'],
  ...['proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade'],
])

/** A handler that is nothing but a gateway: what the origin says, word for word, and 502 where it says nothing. */
export function forwarder(port: number): RequestHandler {
  return (req, res) => {
    const { host: _host, connection: _connection, ...headers } = req.headers
    const { method, originalUrl: path } = req
    let answered = false
    const upstream = httpRequest({ host: '127.0.0.1', port, method, path, headers, agent: false }, (answer) => {
      answered = true
      const nominated = (answer.headers.connection ?? '').toLowerCase().split(/\s*,\s*/)
      const values = new Map<string, [name: string, values: string[]]>()
      for (let at = 0; at < answer.rawHeaders.length; at += 2) {
        const name = answer.rawHeaders[at] as string
        const key = name.toLowerCase()
        if (HOP_BY_HOP.has(key) || nominated.includes(key)) continue
        const known = values.get(key) ?? [name, []]
        known[1].push(answer.rawHeaders[at + 1] as string)
        values.set(key, known)
      }
      for (const [name, list] of values.values()) res.setHeader(name, list.length === 1 ? (list[0] as string) : list)
      res.statusCode = answer.statusCode as number
      res.statusMessage = answer.statusMessage as string
      answer.pipe(res)
      answer.on('error', () => res.destroy())
    })
    upstream.on('error', () => {
      // What comes after a complete answer is not part of it; an answer that breaks off is reported by itself.
      if (!answered) res.status(502).end()
    })
    req.pipe(upstream)
  }
}
