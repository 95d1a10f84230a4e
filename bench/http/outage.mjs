import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { startRedis, startServer } from './servers.mjs'

/** Redis is stopped as a process while every server gets its requests: who waits, and who is told no. */
const { values: given } = parseArgs({
  options: {
    only: { type: 'string', default: 'stack-usual,stack-mounted,stack-composed' },
    seconds: { type: 'string', default: '15' },
    rate: { type: 'string', default: '10' },
  },
})
const seconds = Number(given.seconds)
const rate = Number(given.rate)
const SLOW_MS = 100
const PATIENCE_MS = 30_000

const redis = await startRedis()
const servers = []
for (const [index, name] of given.only.split(',').entries()) {
  // The deadline of an installation, not the patience that a loaded benchmark needs.
  const env = { ...process.env, COMMAND_TIMEOUT: '75ms' }
  servers.push(await startServer(name, `${redis.url}/${index}`, process.execPath, env))
}

async function ask({ url, headers }) {
  const started = performance.now()
  try {
    const response = await fetch(url, { headers, signal: AbortSignal.timeout(PATIENCE_MS) })
    await response.text()
    return { status: response.status, ms: performance.now() - started }
  } catch {
    return { status: 0, ms: performance.now() - started }
  }
}

for (const server of servers) for (let i = 0; i < 50; i++) await ask(server)
const answers = new Map(servers.map(({ name }) => [name, []]))
redis.pause()
for (let i = 0; i < seconds * rate; i++) {
  for (const server of servers) answers.get(server.name).push(ask(server))
  await sleep(1000 / rate)
}
redis.resume()

console.log(`Redis hung for ${seconds} s, ${rate} requests per second and server; Node ${process.version}\n`)
console.log(`| server | requests | slower than ${SLOW_MS} ms | failed (5xx or none in 30 s) | median ms | slowest ms |`)
console.log('|---|---|---|---|---|---|')
for (const [name, asked] of answers) {
  const all = (await Promise.all(asked)).sort((a, b) => a.ms - b.ms)
  const slow = all.filter(({ ms }) => ms > SLOW_MS).length
  const failed = all.filter(({ status }) => status === 0 || status >= 500).length
  const figures = [all.length, slow, failed, Math.round(all[all.length >> 1].ms), Math.round(all.at(-1).ms)]
  console.log(`| ${name} | ${figures.join(' | ')} |`)
}
process.exit(0)
