import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { load, startRedis, startServer } from '../http/servers.mjs'

const { values: given } = parseArgs({
  options: { rounds: { type: 'string', default: '20' }, mode: { type: 'string', default: 'on' } },
})
const rounds = Number(given.rounds)
const redis = await startRedis()
const server = await startServer('../metrics/stack', redis.url, process.execPath)
await load(server, 3)

async function point(mode) {
  await fetch(`${server.url}metrics/${mode}`)
  await load(server, 1)
  const before = await server.cpu()
  const { perSecond, requests } = await load(server, 2)
  return { perSecond, cpu: ((await server.cpu()) - before) / requests }
}

const ratios = { perSecond: [], cpu: [] }
const rates = []
for (let round = 0; round < rounds; round++) {
  // Off, on, on, off: what drifts evenly cancels out.
  const [off, on, again, last] = [
    await point('off'),
    await point(given.mode),
    await point(given.mode),
    await point('off'),
  ]
  for (const field of ['perSecond', 'cpu']) ratios[field].push((on[field] + again[field]) / (off[field] + last[field]))
  rates.push(off.perSecond, last.perSecond)
}

const sorted = (list) => [...list].sort((a, b) => a - b)
const at = (list, share) => sorted(list)[Math.round((list.length - 1) * share)]
const say = (list) =>
  `median ${at(list, 0.5).toFixed(3)}, middle half ${at(list, 0.25).toFixed(3)}–${at(list, 0.75).toFixed(3)}`
console.log(
  `Node ${process.version}, ${cpus()[0].model}, ${new Date().toISOString().slice(0, 10)}, ${rounds} rounds, metrics ${given.mode}`,
)
console.log(`without metrics: ${Math.round(at(rates, 0.5))} req/s`)
console.log(`throughput, with ÷ without: ${say(ratios.perSecond)}`)
console.log(`CPU per request, with ÷ without: ${say(ratios.cpu)}`)
process.exit(0)
