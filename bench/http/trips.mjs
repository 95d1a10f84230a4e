import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { variants } from '../variants/index.mjs'
import { startRedis, startServer } from './servers.mjs'

/** How many replies of Redis a request waits for, one after the other: every reply is late by this much. */
const LATENCY_MS = 50
const REQUESTS = 20
const names = process.argv[2]?.split(',') ?? variants.map(({ name }) => name).filter((name) => /^stack-/.test(name))

const redis = await startRedis()
let latency = 0
const proxy = createServer((client) => {
  const target = connect(redis.port, '127.0.0.1').setNoDelay()
  client.setNoDelay().pipe(target)
  target.on('data', (chunk) => {
    if (latency === 0) client.write(chunk)
    else setTimeout(() => client.write(chunk), latency)
  })
  for (const socket of [client, target]) socket.on('error', () => {})
  target.on('close', () => client.destroy())
  client.on('close', () => target.destroy())
}).listen(0, '127.0.0.1')
await once(proxy, 'listening')

console.log(`| variant | sequential round trips per request (replies ${LATENCY_MS} ms late) |\n|---|---|`)
for (const [index, name] of names.entries()) {
  latency = 0
  const server = await startServer(name, `redis://127.0.0.1:${proxy.address().port}/${index % 16}`, process.execPath)
  const ask = async () => {
    const started = performance.now()
    await (await fetch(server.url, { headers: server.headers })).text()
    return performance.now() - started
  }
  for (let i = 0; i < 20; i++) await ask()
  latency = LATENCY_MS
  const times = []
  for (let i = 0; i < REQUESTS; i++) times.push(await ask())
  const median = times.sort((a, b) => a - b)[REQUESTS / 2]
  console.log(`| ${name} | ${(median / LATENCY_MS).toFixed(1)} |`)
  await server.stop()
}
process.exit(0)
