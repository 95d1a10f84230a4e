import type { Redis } from 'ioredis'
import { masters } from './client.js'
import { isRedisCommandError } from './errors.js'
import { parseInfo, type ServerStats } from './info.js'
import type { RedisManager } from './manager.js'

/** A call that the server found slow. Its arguments are not kept: they hold keys and values. */
export interface SlowCall {
  readonly id: number
  readonly at: Date
  readonly microseconds: number
  readonly command: string
}

/** Statistics of every master, and their sums. */
export interface RedisStats {
  readonly at: Date
  readonly servers: readonly ServerStats[]
  /** Over all servers; ratios are of the sums. */
  readonly totals: {
    readonly keys: number
    readonly usedBytes: number
    readonly operationsPerSecond: number
    readonly connectedClients: number
    readonly evictedKeys: number
    readonly rejectedConnections: number
    readonly hitRatio: number | undefined
    /** Of the server that is fullest. */
    readonly usedRatio: number | undefined
  }
  /** Newest first, at most 16 per server. */
  readonly slowCalls: readonly SlowCall[]
  /** What this user may not ask (`info`, `slowlog`), and is therefore empty. */
  readonly unavailable: readonly string[]
}

const ADMINISTRATION = { deadline: 1000 }
const SECTIONS = [
  ...['server', 'clients', 'memory', 'stats', 'replication', 'keyspace', 'commandstats'],
  // From Redis 7; an older server answers nothing.
  'latencystats',
]

/** Asks every master. Rejects with RedisUnavailableError; a part that the user may not ask is named, not thrown. */
export async function statsOf(redis: Pick<RedisManager, 'execute'>): Promise<RedisStats> {
  const unavailable = new Set<string>()
  const nodes = await redis.execute('stats', (client) => Promise.resolve(masters(client)), ADMINISTRATION)
  const ask = async <T>(part: string, question: () => Promise<T>, without: T): Promise<T> => {
    try {
      return await redis.execute(`stats.${part}`, question, ADMINISTRATION)
    } catch (error) {
      if (!isRedisCommandError(error)) throw error
      unavailable.add(part)
      return without
    }
  }
  const [infos, logs] = await Promise.all([
    Promise.all(nodes.map((node) => ask('info', () => infoOf(node), ''))),
    Promise.all(nodes.map((node) => ask('slowlog', () => node.slowlog('GET', 16) as Promise<unknown>, []))),
  ])
  const servers = infos.map(parseInfo)
  const slowCalls = logs.flatMap(slowCallsOf).sort((a, b) => b.at.getTime() - a.at.getTime() || b.id - a.id)
  return { at: new Date(), servers, totals: totalsOf(servers), slowCalls, unavailable: [...unavailable] }
}

/** Redis 6 takes one section per INFO. */
async function infoOf(node: Redis): Promise<string> {
  const texts = await Promise.all(SECTIONS.map((section) => node.info(section)))
  return texts.join('\n')
}

function slowCallsOf(reply: unknown): SlowCall[] {
  if (!Array.isArray(reply)) return []
  return reply.flatMap((entry: unknown) => {
    if (!Array.isArray(entry) || !Array.isArray(entry[3])) return []
    const [id, seconds, microseconds, [command]] = entry as [unknown, unknown, unknown, unknown[]]
    return [
      {
        id: Number(id),
        at: new Date(Number(seconds) * 1000),
        microseconds: Number(microseconds),
        command: String(command).toLowerCase(),
      },
    ]
  })
}

function totalsOf(servers: readonly ServerStats[]): RedisStats['totals'] {
  const sum = (of: (server: ServerStats) => number | undefined): number =>
    servers.reduce((total, server) => total + (of(server) ?? 0), 0)
  const hits = sum(({ traffic }) => traffic.hits)
  const asked = hits + sum(({ traffic }) => traffic.misses)
  const ratios = servers.flatMap(({ memory }) => memory.usedRatio ?? [])
  return {
    keys: sum(({ keys }) => keys),
    usedBytes: sum(({ memory }) => memory.usedBytes),
    operationsPerSecond: sum(({ traffic }) => traffic.operationsPerSecond),
    connectedClients: sum(({ clients }) => clients.connected),
    evictedKeys: sum(({ traffic }) => traffic.evictedKeys),
    rejectedConnections: sum(({ traffic }) => traffic.rejectedConnections),
    hitRatio: asked > 0 ? hits / asked : undefined,
    usedRatio: ratios.length > 0 ? Math.max(...ratios) : undefined,
  }
}
