import { Agent, get } from 'node:http'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { startRedis, startServer } from '../http/servers.mjs'
import './events.mjs'
import { interval, trimmedMean } from './statistics.mjs'

const { values: given } = parseArgs({
  options: {
    blocks: { type: 'string', default: '500' },
    requests: { type: 'string', default: '100' },
    mode: { type: 'string', default: 'on' },
  },
})
const REQUESTS = Number(given.requests)
const CONCURRENCY = 16
const redis = await startRedis()
const server = await startServer('../metrics/stack', redis.url, process.execPath)
const agent = new Agent({ keepAlive: true, maxSockets: CONCURRENCY })

function request(mode) {
  return new Promise((resolve, reject) => {
    const sent = get(`${server.url}${mode}`, { agent, headers: server.headers }, (res) => {
      if (res.statusCode !== 200) reject(new Error(`answered ${res.statusCode}`))
      res.resume().once('end', resolve)
    })
    sent.once('error', reject)
  })
}

async function requests(mode, count) {
  let left = count
  const one = async () => {
    while (left-- > 0) await request(mode)
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, one))
}

/** CPU of the server per request, in µs: it counts alone while others use the machine. */
async function slot(mode) {
  const before = await server.cpu()
  await requests(mode, REQUESTS)
  return ((await server.cpu()) - before) / REQUESTS
}

/** The logarithm of one mode's cost ÷ that of `off`, from four slots: what drifts evenly cancels out. */
async function block(mode) {
  const outer = Math.random() < 0.5
  const order = outer ? ['off', mode, mode, 'off'] : [mode, 'off', 'off', mode]
  const spent = []
  for (const each of order) spent.push(await slot(each))
  const [ends, middle] = [spent[0] + spent[3], spent[1] + spent[2]]
  plain.push((outer ? ends : middle) / 2)
  return Math.log(outer ? middle / ends : ends / middle)
}

const plain = []
for (let round = 0; round < 100; round++) {
  for (const mode of ['off', given.mode, 'twin']) await requests(mode, 100)
}
const costs = []
// The same against the same: what the method itself is worth.
const controls = []
for (let round = 0; round < Number(given.blocks); round++) {
  costs.push(await block(given.mode))
  controls.push(await block('twin'))
}

const shown = (logs) => {
  const [low, high] = interval(logs)
  return `${Math.exp(trimmedMean(logs)).toFixed(4)}, 95 % within ${Math.exp(low).toFixed(4)}–${Math.exp(high).toFixed(4)}`
}
const day = new Date().toISOString().slice(0, 10)
console.log(`Node ${process.version}, ${cpus()[0].model}, ${day}, ${given.blocks} blocks of 4 × ${REQUESTS} requests`)
console.log(`session + limiter + cache hit: ${trimmedMean(plain).toFixed(0)} µs of CPU per request without metrics`)
console.log(`with metrics (${given.mode}) ÷ without: ${shown(costs)}`)
console.log(`control, without ÷ without: ${shown(controls)}`)
process.exit(0)
