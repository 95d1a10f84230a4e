import { connect, createServer, type Socket } from 'node:net'
import { type Conditions, Flow } from './flow.js'
import { freePort } from './free-port.js'

export interface TcpProxy {
  readonly port: number
  readonly url: string
  /** Forwards at once, as a new proxy does. */
  pass(): void
  /** Delays every reply, of open and of new connections alike. */
  latency(ms: number): void
  /** Keeps every connection open and moves nothing either way, until another mode is chosen. */
  blackhole(): void
  reset(): void
  refuse(): Promise<void>
  accept(): Promise<void>
  slice(bytes: number): void
  connections(): number
  bytesTo(): number
  stop(): Promise<void>
}

interface Link {
  sockets: Socket[]
  flows: Flow[]
  toTarget: Flow
}

export async function startProxy(targetPort: number): Promise<TcpProxy> {
  const conditions: Conditions = { latency: 0, slice: 0, stalled: false }
  const links = new Set<Link>()
  let bytesOfClosed = 0
  const server = createServer({ noDelay: true, allowHalfOpen: true }, open)
  const port = await freePort()

  function open(client: Socket): void {
    const target = connect({ port: targetPort, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
    const toTarget = new Flow(client, target, conditions, { delayed: false })
    const toClient = new Flow(target, client, conditions, { delayed: true })
    const link: Link = { sockets: [client, target], flows: [toTarget, toClient], toTarget }
    links.add(link)
    const close = () => {
      if (!links.delete(link)) return
      bytesOfClosed += toTarget.forwarded
      for (const flow of link.flows) flow.stop()
      for (const socket of link.sockets) socket.destroy()
    }
    for (const socket of link.sockets) socket.on('error', close).on('close', close)
  }

  function set(change: Partial<Conditions>): void {
    Object.assign(conditions, { latency: 0, slice: 0, stalled: false }, change)
    for (const link of links) for (const flow of link.flows) flow.apply()
  }

  function reset(): void {
    for (const link of links) {
      for (const socket of link.sockets) {
        // Node leaks the handle of a socket that it cannot reset because one side has ended.
        if (socket.readableEnded || socket.writableEnded) socket.destroy()
        else socket.resetAndDestroy()
      }
    }
  }

  function accept(): Promise<void> {
    if (server.listening) return Promise.resolve()
    return new Promise((resolve, reject) => {
      server.once('error', reject)
      server.listen({ port, host: '127.0.0.1', exclusive: true }, () => {
        server.off('error', reject)
        resolve()
      })
    })
  }

  async function refuse(): Promise<void> {
    const closed = server.listening ? new Promise<void>((resolve) => server.close(() => resolve())) : undefined
    reset()
    await closed
  }

  await accept()
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    pass: () => set({}),
    latency: (ms) => set({ latency: ms }),
    blackhole: () => set({ stalled: true }),
    slice: (bytes) => set({ slice: bytes }),
    reset,
    refuse,
    accept,
    connections: () => links.size,
    bytesTo: () => [...links].reduce((sum, link) => sum + link.toTarget.forwarded, bytesOfClosed),
    stop: refuse,
  }
}
