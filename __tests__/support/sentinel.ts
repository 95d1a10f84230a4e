import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Redis } from 'ioredis'
import { eventually } from './eventually.js'
import { type RedisServer, startRedis } from './redis-server.js'

const name = 'holdfast'
const quorum = 2

export interface Sentinels {
  readonly name: string
  readonly sentinels: { host: string; port: number }[]
  readonly sentinelServers: RedisServer[]
  /** The server that was the master at the start. */
  readonly master: RedisServer
  readonly replica: RedisServer
  stop(): Promise<void>
}

export async function startSentinels(): Promise<Sentinels> {
  const started: RedisServer[] = []
  const start = async (options: Parameters<typeof startRedis>[0]) => {
    const server = await startRedis(options)
    started.push(server)
    return server
  }
  const stop = async () => {
    await Promise.all(started.map((server) => server.stop()))
  }
  try {
    const master = await start({})
    const replica = await start({ args: ['--replicaof', '127.0.0.1', `${master.port}`] })
    await eventually(async () => (await replica.client().info('replication')).includes('master_link_status:up'), {
      within: 10_000,
    })
    const prepare = (dir: string) => sentinelArguments(dir, master.port)
    const sentinelServers = await Promise.all([1, 2, 3].map(() => start({ prepare })))
    await Promise.all(sentinelServers.map((sentinel) => untilComplete(sentinel.client())))
    const sentinels = sentinelServers.map(({ port }) => ({ host: '127.0.0.1', port }))
    return { name, sentinels, sentinelServers, master, replica, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function sentinelArguments(dir: string, masterPort: number): Promise<string[]> {
  const file = join(dir, 'sentinel.conf')
  await writeFile(
    file,
    [
      `sentinel monitor ${name} 127.0.0.1 ${masterPort} ${quorum}`,
      `sentinel down-after-milliseconds ${name} 500`,
      `sentinel failover-timeout ${name} 2000`,
      `sentinel parallel-syncs ${name} 1`,
      '',
    ].join('\n'),
  )
  return [file, '--sentinel']
}

async function untilComplete(sentinel: Redis): Promise<void> {
  await greetSooner(sentinel)
  await eventually(
    async () => {
      const master = (await sentinel.call('SENTINEL', 'MASTER', name)) as string[]
      const [replica = []] = (await sentinel.call('SENTINEL', 'REPLICAS', name)) as string[][]
      // Until a sentinel has heard of the link it thinks the replica unfit, and a failover waits for its next try.
      return (
        field(master, 'num-other-sentinels') === '2' &&
        field(master, 'num-slaves') === '1' &&
        field(replica, 'master-link-status') === 'ok' &&
        field(replica, 'flags') === 'slave'
      )
    },
    { within: 20_000, every: 50 },
  )
}

// Sentinels introduce themselves every two seconds; servers before 7.0 cannot be asked to hurry.
async function greetSooner(sentinel: Redis): Promise<void> {
  await sentinel.call('SENTINEL', 'DEBUG', 'PUBLISH-PERIOD', 100, 'INFO-PERIOD', 500).catch(() => {})
}

function field(flat: string[], key: string): string | undefined {
  return flat[flat.indexOf(key) + 1]
}
