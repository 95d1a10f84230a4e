import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from './eventually.js'
import { freeClusterPort } from './free-port.js'
import { type RedisServer, startRedis } from './redis-server.js'

const masterCount = 3
const slotCount = 16_384

export interface RedisCluster {
  readonly nodes: { host: string; port: number }[]
  readonly servers: RedisServer[]
  /** The servers that answer now and hold the role of a master. */
  masters(): Promise<RedisServer[]>
  stop(): Promise<void>
}

export interface ClusterOptions {
  /** After how long a silent node is failed over, in ms; low only where that is wanted: a busy machine is silent too. */
  readonly nodeTimeout?: number
  /** More arguments of every server. */
  readonly args?: readonly string[]
}

export async function startCluster({ nodeTimeout = 10_000, args = [] }: ClusterOptions = {}): Promise<RedisCluster> {
  const servers = await startNodes(2 * masterCount, ['--cluster-node-timeout', String(nodeTimeout), ...args])
  const stop = async () => {
    await Promise.all(servers.map((server) => server.stop()))
  }
  try {
    await join(servers)
  } catch (error) {
    await stop()
    throw error
  }
  return {
    nodes: servers.map(({ port }) => ({ host: '127.0.0.1', port })),
    servers,
    async masters() {
      const roles = await Promise.all(servers.map(roleOf))
      return servers.filter((_, index) => roles[index] === 'master')
    },
    stop,
  }
}

async function startNodes(count: number, more: readonly string[]): Promise<RedisServer[]> {
  const args = ['--cluster-enabled', 'yes', '--cluster-config-file', 'nodes.conf', ...more]
  const started = await Promise.allSettled(
    Array.from({ length: count }, async () => startRedis({ port: await freeClusterPort(), args })),
  )
  const servers = started.flatMap((node) => (node.status === 'fulfilled' ? [node.value] : []))
  const failed = started.find((node) => node.status === 'rejected')
  if (!failed) return servers
  await Promise.all(servers.map((server) => server.stop()))
  throw failed.reason
}

async function join(servers: RedisServer[]): Promise<void> {
  const masters = servers.slice(0, masterCount)
  const replicas = servers.slice(masterCount)

  await Promise.all(masters.map((master, index) => master.client().cluster('ADDSLOTS', slotsOf(index))))
  // Masters that start at the same epoch spend seconds on settling the conflict.
  await Promise.all(servers.map((server, index) => server.client().call('CLUSTER', 'SET-CONFIG-EPOCH', index + 1)))
  for (const [index, server] of servers.entries()) {
    const later = servers.slice(index + 1)
    await Promise.all(later.map(({ port }) => server.client().cluster('MEET', '127.0.0.1', port)))
  }
  await all(servers, async (server) => (await info(server)).includes(`cluster_known_nodes:${servers.length}`))

  await Promise.all(
    replicas.map(async (replica, index) => {
      const id = (await masters[index]?.client().cluster('MYID')) as string
      await eventually(() => replica.client().cluster('REPLICATE', id), { within: 10_000 })
    }),
  )
  await all(servers, async (server) => (await info(server)).includes('cluster_state:ok'))
  await all(replicas, async (server) => (await server.client().info('replication')).includes('master_link_status:up'))
  await all(servers, async (server) => (await nodesOf(server)).filter((line) => /slave/.test(line)).length === 3)
}

function all(servers: RedisServer[], check: (server: RedisServer) => Promise<boolean>): Promise<unknown> {
  return Promise.all(servers.map((server) => eventually(() => check(server), { within: 20_000, every: 25 })))
}

async function info(server: RedisServer): Promise<string> {
  return String(await server.client().cluster('INFO'))
}

async function nodesOf(server: RedisServer): Promise<string[]> {
  return String(await server.client().cluster('NODES')).split('\n')
}

function slotsOf(index: number): number[] {
  const from = Math.ceil((index * slotCount) / masterCount)
  const to = Math.ceil(((index + 1) * slotCount) / masterCount)
  return Array.from({ length: to - from }, (_, offset) => from + offset)
}

async function roleOf(server: RedisServer): Promise<unknown> {
  const asked = server
    .client()
    .role()
    .then(
      (reply) => (reply as unknown[])[0],
      () => undefined,
    )
  return Promise.race([asked, sleep(500, undefined, { ref: false })])
}
