import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

// Below every system's ephemeral range, so an outgoing connection never takes the port of a server that is restarting.
// The cluster bus of a port lies in the ten thousand above, which this range leaves free.
const first = 10_000
const last = 20_000
const busOffset = 10_000
const attempts = 200

const given = new Set<number>()

export function freePort(): Promise<number> {
  return pick((port) => isFree(port))
}

export function freeClusterPort(): Promise<number> {
  return pick(async (port) => (await isFree(port)) && (await isFree(port + busOffset)))
}

async function pick(suits: (port: number) => Promise<boolean>): Promise<number> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    const port = randomInt(first, last)
    if (given.has(port)) continue
    given.add(port)
    if (await suits(port)) return port
  }
  throw new Error(`no free port between ${first} and ${last} in ${attempts} attempts`)
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen({ port, host: '127.0.0.1', exclusive: true }, () => probe.close(() => resolve(true)))
  })
}
