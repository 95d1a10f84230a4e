import { execFileSync } from 'node:child_process'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { variants } from '../variants/index.mjs'
import { commandsRun, load, startRedis, startServer } from './servers.mjs'

const { values: given } = parseArgs({
  options: {
    group: { type: 'string' },
    only: { type: 'string' },
    node: { type: 'string' },
    rounds: { type: 'string', default: '4' },
    seconds: { type: 'string', default: '3' },
  },
})
const BETWEEN_BASELINES = 4
const rounds = Number(given.rounds)
const seconds = Number(given.seconds)
const execPath =
  given.node === undefined
    ? process.execPath
    : execFileSync('npx', ['-y', '-p', `node@${given.node}`, 'node', '-p', 'process.execPath'], {
        encoding: 'utf8',
      }).trim()
const version = execFileSync(execPath, ['--version'], { encoding: 'utf8' }).trim()
const major = Number.parseInt(version.slice(1), 10)

const chosen = variants.filter(
  ({ name, group, upTo = major }) =>
    group !== 'baseline' &&
    major <= upTo &&
    (given.group === undefined || group.split(' ').includes(given.group)) &&
    (given.only === undefined || given.only.split(',').includes(name)),
)
const BASELINE = chosen[0].baseline ?? 'express-json'
if (chosen.some(({ baseline = 'express-json' }) => baseline !== BASELINE)) {
  throw new Error('the chosen variants have different baselines: choose a group')
}
const redis = await startRedis()
const baseline = await startServer(BASELINE, redis.url, execPath)
const servers = []
for (const { name, aim } of chosen) {
  // A Redis database each, so that nobody finds what another one stored.
  servers.push({
    aim: aim?.[major],
    ...(await startServer(name, `${redis.url}/${servers.length % 16}`, execPath)),
  })
}
for (const server of [baseline, ...servers]) await load(server, 2)

const results = new Map(servers.map(({ name }) => [name, []]))
const baselines = []
for (let round = 0; round < rounds; round++) {
  const order = round % 2 === 0 ? servers : [...servers].reverse()
  let before = await point(baseline)
  for (let at = 0; at < order.length; at += BETWEEN_BASELINES) {
    const points = []
    for (const server of order.slice(at, at + BETWEEN_BASELINES)) points.push([server.name, await point(server)])
    const after = await point(baseline)
    const reference = (before.perSecond + after.perSecond) / 2
    for (const [name, measured] of points) {
      const cpuRatio = (before.cpu + after.cpu) / 2 / measured.cpu
      results.get(name).push({ ...measured, ratio: measured.perSecond / reference, cpuRatio })
    }
    baselines.push(before, after)
    before = after
  }
}

console.log(
  `\nNode ${version}, ${cpus()[0].model}, ${new Date().toISOString().slice(0, 10)}, ${rounds} rounds of ${seconds} s\n`,
)
console.log(
  '| variant | ratio to bare Express (min–max) | aim | req/s | p99 ms | CPU µs/request | CPU ratio | Redis commands/request, in scripts too |',
)
console.log('|---|---|---|---|---|---|---|---|')
row(
  { name: BASELINE },
  baselines.map((each) => ({ ...each, ratio: 1, cpuRatio: 1 })),
)
for (const server of servers) row(server, results.get(server.name))
process.exit(0)

async function point(server) {
  const [cpu, commands] = [await server.cpu(), await commandsRun(redis.client)]
  const measured = await load(server, seconds)
  const [cpuAfter, commandsAfter] = [await server.cpu(), await commandsRun(redis.client)]
  return {
    ...measured,
    cpu: (cpuAfter - cpu) / measured.requests,
    commands: (commandsAfter - commands) / measured.requests,
  }
}

function row({ name, aim }, points) {
  const of = (field) => points.map((each) => each[field]).sort((a, b) => a - b)
  const median = (field) => of(field)[Math.floor(points.length / 2)]
  const ratios = of('ratio')
  const range = `${ratios[0].toFixed(2)}–${ratios.at(-1).toFixed(2)}`
  const figures = [
    Math.round(median('perSecond')),
    median('p99').toFixed(1),
    median('cpu').toFixed(0),
    median('cpuRatio').toFixed(2),
    median('commands').toFixed(2),
  ]
  const met = aim === undefined ? '' : `${aim.toFixed(2)} ${median('ratio') >= aim ? 'met' : 'missed'}`
  console.log(`| ${name} | **${median('ratio').toFixed(2)}** (${range}) | ${met} | ${figures.join(' | ')} |`)
}
