import { Agent, get } from 'node:http'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { startRedis, startServer } from '../http/servers.mjs'

const { values: given } = parseArgs({
  options: { slots: { type: 'string', default: '200' }, mode: { type: 'string', default: 'on' } },
})
const REQUESTS = 300
const CONCURRENCY = 16
const redis = await startRedis()
const server = await startServer('../metrics/stack', redis.url, process.execPath)
const agent = new Agent({ keepAlive: true, maxSockets: CONCURRENCY })

function request(path = '') {
  return new Promise((resolve, reject) => {
    const sent = get(`${server.url}${path}`, { agent, headers: server.headers }, (res) => {
      if (res.statusCode !== 200) reject(new Error(`answered ${res.statusCode}`))
      res.resume().once('end', resolve)
    })
    sent.once('error', reject)
  })
}

async function requests(count) {
  let left = count
  const one = async () => {
    while (left-- > 0) await request()
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, one))
}

/** CPU of the server per request, in µs: it counts alone while others use the machine. */
async function slot(mode) {
  await request(`metrics/${mode}`)
  await requests(30)
  const before = await server.cpu()
  await requests(REQUESTS)
  return ((await server.cpu()) - before) / REQUESTS
}

await requests(20_000)
for (const mode of [given.mode, 'off']) {
  await request(`metrics/${mode}`)
  await requests(3000)
}
const ratios = []
const off = []
for (let round = 0; round < Number(given.slots) / 4; round++) {
  // Off, on, on, off: what drifts evenly cancels out.
  const [a, b, c, d] = [await slot('off'), await slot(given.mode), await slot(given.mode), await slot('off')]
  ratios.push((b + c) / (a + d))
  off.push(a, d)
}

const at = (list, share) => [...list].sort((a, b) => a - b)[Math.round((list.length - 1) * share)]
const median = at(ratios, 0.5)
// Of the median, by order statistics: about 95 %.
const half = 0.98 / Math.sqrt(ratios.length)
const interval = `${at(ratios, 0.5 - half).toFixed(3)}–${at(ratios, 0.5 + half).toFixed(3)}`
const day = new Date().toISOString().slice(0, 10)
console.log(`Node ${process.version}, ${cpus()[0].model}, ${day}, ${given.slots} slots of ${REQUESTS} requests`)
console.log(`session + limiter + cache hit: ${at(off, 0.5).toFixed(0)} µs of CPU per request without metrics`)
console.log(`with metrics (${given.mode}) ÷ without: median ${median.toFixed(3)}, 95 % within ${interval}`)
process.exit(0)
