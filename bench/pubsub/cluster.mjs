import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createPubSub, createRedisManager } from 'holdfast'
import { defineChannel } from 'holdfast/pubsub'
import { Redis } from 'ioredis'

const MASTERS = 3
const MESSAGES = 20_000
const CHANNELS = 64

const children = []
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL')
})

async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address()
  probe.close()
  return (port % 20_000) + 20_000
}

async function startNode() {
  const port = await freePort()
  const dir = mkdtempSync(join(tmpdir(), 'holdfast-bench-'))
  const cluster = ['--cluster-enabled', 'yes', '--cluster-config-file', 'nodes.conf']
  const args = ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--dir', dir, ...cluster]
  children.push(spawn(process.env.REDIS_SERVER_BIN ?? 'redis-server', args, { stdio: 'ignore' }))
  const client = new Redis(port).on('error', () => {})
  await client.ping()
  return { port, client }
}

const nodes = await Promise.all(Array.from({ length: MASTERS }, startNode))
for (const [index, { client }] of nodes.entries()) {
  const from = Math.ceil((index * 16_384) / MASTERS)
  const to = Math.ceil(((index + 1) * 16_384) / MASTERS)
  await client.cluster('ADDSLOTS', ...Array.from({ length: to - from }, (_, slot) => from + slot))
  await client.call('CLUSTER', 'SET-CONFIG-EPOCH', index + 1)
}
for (const { port } of nodes.slice(1)) await nodes[0].client.cluster('MEET', '127.0.0.1', port)
for (const { client } of nodes) {
  while (!String(await client.cluster('INFO')).includes('cluster_state:ok'))
    await new Promise((go) => setTimeout(go, 50))
}

const manager = createRedisManager({
  cluster: { nodes: nodes.map(({ port }) => ({ host: '127.0.0.1', port })) },
  logger: false,
  commandTimeout: '5s',
})
if (!(await manager.ready('20s'))) throw new Error('the Cluster is not ready')
const bus = createPubSub({ redis: manager })

/** CPU of all nodes in µs, and the bytes that they sent each other. */
async function used() {
  const one = async ({ client }) => {
    const info = await client.info('cpu')
    const of = (name) => Number(new RegExp(`${name}:([\\d.]+)`).exec(info)[1]) * 1e6
    const bus = await client.cluster('INFO')
    const messages = Number(/cluster_stats_messages_publish\w*_sent:(\d+)/.exec(bus)?.[1] ?? 0)
    return { cpu: of('used_cpu_sys') + of('used_cpu_user'), messages }
  }
  const all = await Promise.all(nodes.map(one))
  return { cpu: all.reduce((sum, it) => sum + it.cpu, 0), messages: all.reduce((sum, it) => sum + it.messages, 0) }
}

async function measure(sharded) {
  const root = defineChannel('prices', { sharded })
  const channels = Array.from({ length: CHANNELS }, (_, at) => root.at(at))
  let arrived = 0
  const subscriptions = channels.map((channel) => bus.subscribe(channel, () => arrived++))
  await Promise.all(subscriptions.map((subscription) => subscription.ready('10s')))
  const before = await used()
  let sent = 0
  await Promise.all(
    Array.from({ length: 64 }, async () => {
      while (sent++ < MESSAGES) await bus.publish(channels[sent % CHANNELS], { cents: sent })
    }),
  )
  while (arrived < MESSAGES) await new Promise((go) => setTimeout(go, 5))
  const after = await used()
  bus.close()
  return { cpu: (after.cpu - before.cpu) / MESSAGES, messages: (after.messages - before.messages) / MESSAGES }
}

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)]
const points = { plain: [], sharded: [] }
await measure(false)
for (let round = 0; round < 5; round++) {
  for (const kind of round % 2 ? ['sharded', 'plain'] : ['plain', 'sharded'])
    points[kind].push(await measure(kind === 'sharded'))
}
console.log(`a Cluster of ${MASTERS} masters, per message: CPU of all nodes, messages between nodes`)
for (const [kind, list] of Object.entries(points)) {
  const of = (name) => median(list.map((point) => point[name]))
  console.log(`${of('cpu').toFixed(1).padStart(6)} µs  ${of('messages').toFixed(2)}  ${kind}`)
}
process.exit(0)
